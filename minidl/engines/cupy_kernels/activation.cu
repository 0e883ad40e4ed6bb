// ReLU (with a slope below 0), sigmoid and tanh of every number.
//
//   relu     y = x > 0 ? x : slope * x      dx = dy * (1 or slope)
//   sigmoid  y = tanh(x / 2) / 2 + 1/2      dx = dy * y * (1 - y)
//   tanh     y = tanh(x)                    dx = dy * (1 - y * y)
//
// y may be x, and dx dy. NaN stays NaN.

#include "kernels.cuh"

KERNEL void relu_forward(const Index count, const float *x, float *y, const float slope)
{
    // A slope of 0 is no factor: -infinity becomes 0, not NaN.
    KLOOP (i, count) y[i] = x[i] < 0 ? (slope == 0 ? 0 : slope * x[i]) : x[i];
}

// `sign` is x, or y, which has the same sign unless the slope is negative.
KERNEL void relu_backward(const Index count, const float *sign, const float *dy, float *dx,
                          const float slope)
{
    KLOOP (i, count) dx[i] = sign[i] > 0 ? dy[i] : slope * dy[i];
}

KERNEL void sigmoid_forward(const Index count, const float *x, float *y)
{
    KLOOP (i, count) y[i] = 0.5f * tanhf(0.5f * x[i]) + 0.5f;
}

KERNEL void sigmoid_backward(const Index count, const float *y, const float *dy, float *dx)
{
    KLOOP (i, count) dx[i] = dy[i] * (y[i] * (1 - y[i]));
}

KERNEL void tanh_forward(const Index count, const float *x, float *y)
{
    KLOOP (i, count) y[i] = tanhf(x[i]);
}

KERNEL void tanh_backward(const Index count, const float *y, const float *dy, float *dx)
{
    KLOOP (i, count) dx[i] = dy[i] * (1 - y[i] * y[i]);
}
