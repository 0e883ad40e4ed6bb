// Max and average pooling of planes, one for each image and channel; window (oh, ow) begins at row
// oh * SH - pad_h and column ow * SW - pad_w and has KH x KW places.
//
//   max   y[o] = max(x[j] over the places j of window o on the bottom)
//         dx[j] = sum(dy[o] where the maximum of window o, the first of equal ones, is at j)
//   mean  y[o] = sum(x[j]) / a[o]      dx[j] = sum(dy[o] / a[o] over the windows with j)
//         a[o] counts the window's places, on the padding too, but not beyond it
//
// Forward has a thread for each window. Backward has one for each place of the bottom, which looks
// at the windows around it: no two threads write to one place, so there are no atomics, the order
// of additions is always the same, and nothing has to be zeroed before.
//
// The window is a constant, so that its loops unroll and divisions by the stride are products.
// PLACE holds a number below KH * KW.

#include "kernels.cuh"

#ifndef KH
#define KH 3
#define KW 3
#define SH 2
#define SW 2
#define PLACE unsigned char
#endif

// Windows along one axis, and what of it they see.
struct Axis {
    int size, windows, pad;
};

// The first window, of `kernel` places each, that sees place i, and the first that begins beyond.
DEVICE int first_with(int i, int kernel, int stride, Axis axis)
{
    const int behind = i + axis.pad - kernel;  // the last start of a window that ends before i
    return behind < 0 ? 0 : behind / stride + 1;
}

DEVICE int end_with(int i, int stride, Axis axis)
{
    return min((i + axis.pad) / stride + 1, axis.windows);
}

// Places of the window that begins at `start`, on the bottom and the padding.
DEVICE int places(int start, int kernel, Axis axis)
{
    return min(start + kernel, axis.size + axis.pad) - start;
}

// count = planes * out_h * out_w. `winner`: where in its window the maximum was, row by row;
// `index`: where in the plane, as a float. Either may be 0.
KERNEL void max_forward(const Index count, const float *x, float *y, PLACE *winner, float *index,
                        const int height, const int width, const int out_h, const int out_w,
                        const int pad_h, const int pad_w)
{
    KLOOP (i, count) {
        const Index line = i / out_w;
        const int top = (int)(line % out_h) * SH - pad_h, left = (int)(i % out_w) * SW - pad_w;
        const float *plane = x + (long long)(line / out_h) * height * width;
        const int from_h = max(-top, 0), to_h = min(height - top, KH);
        const int from_w = max(-left, 0), to_w = min(width - left, KW);
        float best = -INFINITE;
        int place = from_h * KW + from_w;  // where all are -infinity, the first
        for (int h = from_h; h < to_h; ++h)
            for (int w = from_w; w < to_w; ++w) {
                const float value = plane[(top + h) * width + left + w];
                if (value > best)
                    place = h * KW + w;
                if (!(value <= best))
                    best = value;  // a NaN, too, after which nothing is larger
            }
        y[i] = best;
        if (winner)
            winner[i] = (PLACE)place;
        if (index)
            index[i] = (float)((top + place / KW) * width + left + place % KW);
    }
}

// count = planes * height * width
KERNEL void max_backward(const Index count, const float *dy, const PLACE *winner, float *dx,
                         const int height, const int width, const int out_h, const int out_w,
                         const int pad_h, const int pad_w)
{
    const Axis rows = {height, out_h, pad_h}, columns = {width, out_w, pad_w};
    KLOOP (i, count) {
        const Index line = i / width;
        const int h = (int)(line % height), w = (int)(i % width);
        const long long plane = (long long)(line / height) * out_h * out_w;
        const int end_h = end_with(h, SH, rows), end_w = end_with(w, SW, columns);
        float sum = 0;
        for (int oh = first_with(h, KH, SH, rows); oh < end_h; ++oh)
            for (int ow = first_with(w, KW, SW, columns); ow < end_w; ++ow) {
                const int place = (h + pad_h - oh * SH) * KW + w + pad_w - ow * SW;
                const long long o = plane + oh * out_w + ow;
                if (winner[o] == place)
                    sum += dy[o];
            }
        dx[i] = sum;
    }
}

KERNEL void mean_forward(const Index count, const float *x, float *y, const int height,
                         const int width, const int out_h, const int out_w, const int pad_h,
                         const int pad_w)
{
    const Axis rows = {height, out_h, pad_h}, columns = {width, out_w, pad_w};
    KLOOP (i, count) {
        const Index line = i / out_w;
        const int top = (int)(line % out_h) * SH - pad_h, left = (int)(i % out_w) * SW - pad_w;
        const float *plane = x + (long long)(line / out_h) * height * width;
        float sum = 0;
        for (int h = max(-top, 0); h < min(height - top, KH); ++h)
            for (int w = max(-left, 0); w < min(width - left, KW); ++w)
                sum += plane[(top + h) * width + left + w];
        y[i] = sum / (places(top, KH, rows) * places(left, KW, columns));
    }
}

KERNEL void mean_backward(const Index count, const float *dy, float *dx, const int height,
                          const int width, const int out_h, const int out_w, const int pad_h,
                          const int pad_w)
{
    const Axis rows = {height, out_h, pad_h}, columns = {width, out_w, pad_w};
    KLOOP (i, count) {
        const Index line = i / width;
        const int h = (int)(line % height), w = (int)(i % width);
        const float *plane = dy + (long long)(line / height) * out_h * out_w;
        const int end_h = end_with(h, SH, rows), end_w = end_with(w, SW, columns);
        float sum = 0;
        for (int oh = first_with(h, KH, SH, rows); oh < end_h; ++oh)
            for (int ow = first_with(w, KW, SW, columns); ow < end_w; ++ow)
                sum += plane[oh * out_w + ow] /
                       (places(oh * SH - pad_h, KH, rows) * places(ow * SW - pad_w, KW, columns));
        dx[i] = sum;
    }
}
