// What is done to maps, the results of a convolution, before and after the matrix products.
//
// A map y[n, m, p] has N images, M channels and P places. Outside it lies in that order; products
// work on maps[m, n, p], all places of a channel side by side, so that a chunk of images is one
// matrix. (An inner product is the case P = 1.)

#include "activate.cuh"
#include "numbers.cuh"

#ifndef NUMBER
#define NUMBER float
#endif

//   y[n, m, p] = f(maps + bias[m])          count = N * M * P
//
// maps and y may be the same memory, if it lies the same. Strides are those of maps; bias may be 0.
KERNEL void finish(const Index count, const float *maps, float *y, const float *bias,
                   const int channels, const int places, const long long image_stride,
                   const long long channel_stride, const int kind, const float slope)
{
    KLOOP (i, count) {
        const Index p = i % places, rest = i / places, m = rest % channels, n = rest / channels;
        const float value = maps[n * image_stride + m * channel_stride + p];
        y[i] = activate(kind, slope, bias ? value + bias[m] : value);
    }
}

//   maps[m, n, p] = dy[n, m, p]             count = N * M * P
KERNEL void pack(const Index count, const float *dy, NUMBER *maps, const int images,
                 const int channels, const int places)
{
    KLOOP (i, count) {
        const Index p = i % places, rest = i / places, n = rest % images, m = rest / images;
        maps[i] = dy[((long long)n * channels + m) * places + p];
    }
}

//   sums[n, m] = sum of dy[n, m, p] over p          count = N * M rows
ROW_KERNEL void sum_places(const Index count, const float *dy, float *sums, const int places)
{
    ROWS (row, count) {
        float total = 0;
        LANES (p, places) total += dy[(long long)row * places + p];
        total = warp_sum(total);
        if (LANE == 0)
            sums[row] = total;
    }
}

//   db[m] = sum of sums[n, m] over n, or so much more     count = M rows
ROW_KERNEL void sum_images(const Index count, const float *sums, float *db, const int images,
                           const int add)
{
    ROWS (m, count) {
        float total = 0;
        LANES (n, images) total += sums[n * count + m];
        total = warp_sum(total);
        if (LANE == 0)
            db[m] = add ? db[m] + total : total;
    }
}
