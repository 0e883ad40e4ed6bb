// A convolution as its descriptors say it, checked, and the algorithms that can do it.
#pragma once
#include "fake.h"

enum Pass { FORWARD = 0, DATA = 1, FILTER = 2 };

// y[n,k,o] = sum over c, r of w[k,c,r] * x[n, c, o * stride - pad + r * dilation], in groups.
// Always with three spatial axes; missing ones have extent 1.
struct Problem {
    cudnnTensorStruct x, y;
    cudnnFilterStruct w;
    int groups, math, axes;
    int64_t in[3], out[3], kernel[3], pad[3], stride[3], dilation[3];
    Problem(cudnnTensorDescriptor_t xDesc, cudnnFilterDescriptor_t wDesc,
            cudnnConvolutionDescriptor_t convDesc, cudnnTensorDescriptor_t yDesc);
    bool plain() const;  // everything dense, N C H W
};

// Why a pass of a problem cannot be done by an algorithm; "" if it can. Bytes of workspace if so.
std::string declined(Pass pass, int algo, const Problem& problem);
size_t workspace(Pass pass, int algo, const Problem& problem);
