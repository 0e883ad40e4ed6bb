// Local response normalisation within channels: as in lrn.cu, but the window is a square of SIZE x
// SIZE places of one plane, cut off at its borders.
//
//   s[i]  = k + alpha * sum(x[j]**2 for j around i)      y[i] = x[i] * s[i]**-beta
//   r[j]  = dy[j] * x[j] * s[j]**(-beta - 1)
//   dx[i] = dy[i] * s[i]**-beta - 2 * alpha * beta * x[i] * sum(r[j] for j around i)
//
// A thread for each element; neighbours are in the cache. s is kept for backward: to work it out
// again for all of a window would take SIZE**4 reads.

#include "kernels.cuh"

#ifndef SIZE
#define SIZE 5
#endif
#define HALF (SIZE / 2)

// The sum of a, or of its squares, around element i of planes of height x width.
DEVICE float around(const float *a, bool squares, Index i, int height, int width)
{
    const int h = (int)(i / width % height), w = (int)(i % width);
    const float *middle = a + i;
    float sum = 0;
    for (int up = h < HALF ? -h : -HALF; up <= HALF && h + up < height; ++up)
        for (int by = w < HALF ? -w : -HALF; by <= HALF && w + by < width; ++by) {
            const float value = middle[up * width + by];
            sum += squares ? value * value : value;
        }
    return sum;
}

KERNEL void forward(const Index count, const float *x, float *y, float *s, const int height,
                    const int width, const float alpha, const float beta, const float k)
{
    KLOOP (i, count) {
        s[i] = k + alpha * around(x, true, i, height, width);
        y[i] = x[i] * powf(s[i], -beta);
    }
}

KERNEL void ratio(const Index count, const float *x, const float *dy, const float *s, float *r,
                  const float beta)
{
    KLOOP (i, count) r[i] = dy[i] * x[i] * powf(s[i], -beta) / s[i];
}

KERNEL void backward(const Index count, const float *x, const float *dy, const float *s,
                     const float *r, float *dx, const int height, const int width,
                     const float alpha, const float beta)
{
    KLOOP (i, count) {
        const float sum = around(r, false, i, height, width);
        dx[i] = dy[i] * powf(s[i], -beta) - 2 * alpha * beta * x[i] * sum;
    }
}
