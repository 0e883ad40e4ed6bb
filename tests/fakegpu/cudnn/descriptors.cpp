// Descriptors: made, filled, asked and destroyed, with the refusals of cuDNN 9.28.
#include "fake.h"

#define MAKE_AND_DESTROY(Kind)                                                             \
    EXPORT cudnnStatus_t cudnnCreate##Kind##Descriptor(cudnn##Kind##Descriptor_t* made) { \
        return call([&] { born(*made = new cudnn##Kind##Struct); });                       \
    }                                                                                      \
    EXPORT cudnnStatus_t cudnnDestroy##Kind##Descriptor(cudnn##Kind##Descriptor_t old) {  \
        return call([&] {                                                                  \
            died(old);                                                                     \
            delete old;                                                                    \
        });                                                                                \
    }

MAKE_AND_DESTROY(Tensor)
MAKE_AND_DESTROY(Filter)
MAKE_AND_DESTROY(Convolution)
MAKE_AND_DESTROY(Pooling)
MAKE_AND_DESTROY(LRN)
MAKE_AND_DESTROY(Activation)

static Ints copied(const int* values, int count) { return Ints(values, values + count); }

static void known_type(int type) {
    supported(type == FLOAT || type == HALF || type == BFLOAT16, "the fake has no such number type");
}
static void at_least(const Ints& values, int64_t least, const std::string& what) {
    for (size_t i = 0; i < values.size(); i++)
        need(values[i] >= least, what + "[" + std::to_string(i) + "] is " +
                                     std::to_string(values[i]) + ", below " +
                                     std::to_string(least));
}

// ------------------------------------------------------------------ arrays

EXPORT cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensorDesc,
                                                cudnnDataType_t dataType, int nbDims,
                                                const int dimA[], const int strideA[]) {
    return call([&] {
        alive(tensorDesc);
        known_type(dataType);
        supported(nbDims <= 8, "more than 8 axes");
        Ints dims = copied(dimA, nbDims);
        at_least(dims, 1, "dimA");
        *tensorDesc = {dataType, dims, copied(strideA, nbDims)};
        supported(tensorDesc->count() < (int64_t(1) << 31), "2**31 elements or more");
    });
}

EXPORT cudnnStatus_t cudnnGetTensorNdDescriptor(const cudnnTensorDescriptor_t tensorDesc,
                                                int nbDimsRequested, cudnnDataType_t* dataType,
                                                int* nbDims, int dimA[], int strideA[]) {
    return call([&] {
        alive(tensorDesc);
        *dataType = tensorDesc->type;
        *nbDims = static_cast<int>(tensorDesc->dims.size());
        for (int i = 0; i < *nbDims && i < nbDimsRequested; i++) {
            dimA[i] = static_cast<int>(tensorDesc->dims[i]);
            strideA[i] = static_cast<int>(tensorDesc->strides[i]);
        }
    });
}

EXPORT cudnnStatus_t cudnnGetTensorSizeInBytes(const cudnnTensorDescriptor_t tensorDesc,
                                               size_t* size) {
    return call([&] {
        alive(tensorDesc);
        *size = bytes_of(*tensorDesc);
    });
}

EXPORT cudnnStatus_t cudnnDeriveBNTensorDescriptor(cudnnTensorDescriptor_t derivedBnDesc,
                                                   const cudnnTensorDescriptor_t xDesc,
                                                   cudnnBatchNormMode_t mode) {
    return call([&] {
        alive(derivedBnDesc, xDesc);
        need(mode >= 0 && mode <= 2, "no such mode");
        Ints dims = xDesc->dims;
        dims[0] = 1;
        if (mode > 0) dims = shape_of_channels(dims, dims[1]);
        *derivedBnDesc = {FLOAT, dims, dense(dims, NCHW)};
    });
}

EXPORT cudnnStatus_t cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t filterDesc,
                                                cudnnDataType_t dataType,
                                                cudnnTensorFormat_t format, int nbDims,
                                                const int filterDimA[]) {
    return call([&] {
        alive(filterDesc);
        known_type(dataType);
        need(nbDims > 2, "filters have more than 2 axes");
        need(format == NCHW || format == NHWC, "no such format");
        Ints dims = copied(filterDimA, nbDims);
        at_least(dims, 1, "filterDimA");
        filterDesc->type = dataType, filterDesc->format = format;
        filterDesc->dims = dims, filterDesc->strides = dense(dims, format);
    });
}

// ------------------------------------------------------------------ operations

EXPORT cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t convDesc,
                                                     int arrayLength, const int padA[],
                                                     const int filterStrideA[],
                                                     const int dilationA[],
                                                     cudnnConvolutionMode_t mode,
                                                     cudnnDataType_t computeType) {
    return call([&] {
        alive(convDesc);
        supported(computeType == FLOAT, "the fake sums in float32 only");
        need(mode == 0 || mode == 1, "no such mode");
        convDesc->pad = copied(padA, arrayLength);
        convDesc->stride = copied(filterStrideA, arrayLength);
        convDesc->dilation = copied(dilationA, arrayLength);
        convDesc->mode = mode;
        at_least(convDesc->pad, 0, "padA");
        at_least(convDesc->stride, 1, "filterStrideA");
        at_least(convDesc->dilation, 1, "dilationA");
    });
}

EXPORT cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convDesc,
                                                   int groupCount) {
    return call([&] {
        alive(convDesc);
        need(groupCount >= 1, "groupCount is below 1");
        convDesc->groups = groupCount;
    });
}

EXPORT cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convDesc,
                                                 cudnnMathType_t mathType) {
    return call([&] {
        alive(convDesc);
        need(mathType >= 0 && mathType <= 3, "no such math type");
        convDesc->math = mathType;
    });
}

EXPORT cudnnStatus_t cudnnGetConvolutionNdForwardOutputDim(
    const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t inputTensorDesc,
    const cudnnFilterDescriptor_t filterDesc, int nbDims, int tensorOuputDimA[]) {
    return call([&] {
        alive(convDesc, inputTensorDesc, filterDesc);
        const Ints &x = inputTensorDesc->dims, &w = filterDesc->dims;
        need(x.size() == w.size() && nbDims == static_cast<int>(x.size()), "numbers of axes differ");
        need(x[1] == w[1] * convDesc->groups, "channels are not groups times the filters' inputs");
        tensorOuputDimA[0] = static_cast<int>(x[0]);
        tensorOuputDimA[1] = static_cast<int>(w[0]);
        for (int axis = 2; axis < nbDims; axis++) {
            int64_t extent = convDesc->dilation[axis - 2] * (w[axis] - 1) + 1;
            int64_t free = x[axis] + 2 * convDesc->pad[axis - 2] - extent;
            need(free >= 0, "the kernel is wider than the padded bottom");
            tensorOuputDimA[axis] = static_cast<int>(free / convDesc->stride[axis - 2] + 1);
        }
    });
}

EXPORT cudnnStatus_t cudnnSetPoolingNdDescriptor(cudnnPoolingDescriptor_t poolingDesc,
                                                 const cudnnPoolingMode_t mode,
                                                 const cudnnNanPropagation_t maxpoolingNanOpt,
                                                 int nbDims, const int windowDimA[],
                                                 const int paddingA[], const int strideA[]) {
    return call([&] {
        alive(poolingDesc);
        need(mode >= 0 && mode <= 3, "no such mode");
        *poolingDesc = {mode, maxpoolingNanOpt, copied(windowDimA, nbDims),
                        copied(paddingA, nbDims), copied(strideA, nbDims)};
        at_least(poolingDesc->window, 1, "windowDimA");
        at_least(poolingDesc->stride, 1, "strideA");
    });
}

EXPORT cudnnStatus_t cudnnGetPoolingNdForwardOutputDim(
    const cudnnPoolingDescriptor_t poolingDesc, const cudnnTensorDescriptor_t inputTensorDesc,
    int nbDims, int outputTensorDimA[]) {
    return call([&] {
        alive(poolingDesc, inputTensorDesc);
        const Ints& x = inputTensorDesc->dims;
        need(nbDims == static_cast<int>(x.size()), "numbers of axes differ");
        need(x.size() == poolingDesc->window.size() + 2, "numbers of axes differ");
        for (int axis = 0; axis < nbDims; axis++) {
            outputTensorDimA[axis] = static_cast<int>(x[axis]);
            if (axis < 2) continue;
            int64_t free = x[axis] + 2 * poolingDesc->pad[axis - 2] - poolingDesc->window[axis - 2];
            need(free >= 0, "the window is wider than the padded bottom");
            outputTensorDimA[axis] = static_cast<int>(free / poolingDesc->stride[axis - 2] + 1);
        }
    });
}

EXPORT cudnnStatus_t cudnnSetLRNDescriptor(cudnnLRNDescriptor_t normDesc, unsigned lrnN,
                                           double lrnAlpha, double lrnBeta, double lrnK) {
    return call([&] {
        alive(normDesc);
        need(lrnN >= 1 && lrnN <= 16 && lrnBeta >= 0.01 && lrnK >= 1e-5,
             "n is not in 1 to 16, beta is below 0.01, or k below 1e-5");
        *normDesc = {lrnN, lrnAlpha, lrnBeta, lrnK};
    });
}

EXPORT cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activationDesc,
                                                  cudnnActivationMode_t mode,
                                                  cudnnNanPropagation_t reluNanOpt, double coef) {
    return call([&] {
        alive(activationDesc);
        need(mode >= 0 && mode <= 6, "no such activation");
        *activationDesc = {mode, reluNanOpt, coef};
    });
}
