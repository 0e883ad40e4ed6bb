// The weighted sum of up to four arrays: y = a * wa + b * wb + c * wc + d * wd.
//
// TERMS of them there are; the other pointers are 0. y may be any of them.

#include "kernels.cuh"

#ifndef TERMS
#define TERMS 4
#endif

KERNEL void weighted_sum(const Index count, const float *a, const float *b, const float *c,
                         const float *d, float *y, const float wa, const float wb, const float wc,
                         const float wd)
{
    KLOOP (i, count) {
        float sum = wa * a[i];
        if (TERMS > 1)
            sum += wb * b[i];
        if (TERMS > 2)
            sum += wc * c[i];
        if (TERMS > 3)
            sum += wd * d[i];
        y[i] = sum;
    }
}
