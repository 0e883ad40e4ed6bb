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
// To find out where its window is takes a thread longer than to look into it. So it does that once
// for the same place of `each` planes, one after the other.
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

// What a thread of forward looks at: the window that begins at (top, left), of which places from_h
// ... to_h - 1 by from_w ... to_w - 1 are on the bottom; in planes plane ... end - 1.
struct Window {
    int plane, end, top, left, from_h, to_h, from_w, to_w;
};

DEVICE Window window_of(Index i, int planes, int each, Axis rows, Axis columns)
{
    const Index line = i / columns.windows;
    const int plane = (int)(line / rows.windows) * each;
    const int top = (int)(line % rows.windows) * SH - rows.pad;
    const int left = (int)(i % columns.windows) * SW - columns.pad;
    return {plane, min(plane + each, planes), top, left,
            max(-top, 0), min(rows.size - top, KH), max(-left, 0), min(columns.size - left, KW)};
}

// What a thread of backward looks at: windows oh ... end_h - 1 by ow ... end_w - 1, all those that
// see place (h, w); in planes plane ... end - 1.
struct Around {
    int plane, end, h, w, oh, end_h, ow, end_w;
};

DEVICE Around around(Index i, int planes, int each, Axis rows, Axis columns)
{
    const Index line = i / columns.size;
    const int plane = (int)(line / rows.size) * each;
    const int h = (int)(line % rows.size), w = (int)(i % columns.size);
    return {plane, min(plane + each, planes), h, w,
            first_with(h, KH, SH, rows), end_with(h, SH, rows),
            first_with(w, KW, SW, columns), end_with(w, SW, columns)};
}

// count = groups of `each` planes * out_h * out_w. `winner`: where in its window the maximum was,
// row by row; `index`: where in the plane, as a float. Either may be 0.
KERNEL void max_forward(const Index count, const float *x, float *y, PLACE *winner, float *index,
                        const int planes, const int each, const int height, const int width,
                        const int out_h, const int out_w, const int pad_h, const int pad_w)
{
    const Axis rows = {height, out_h, pad_h}, columns = {width, out_w, pad_w};
    KLOOP (i, count) {
        const Window seen = window_of(i, planes, each, rows, columns);
        for (long long plane = seen.plane; plane < seen.end; ++plane) {
            const float *from = x + plane * height * width;
            const long long o = plane * out_h * out_w + i % (out_h * out_w);
            float best = -INFINITE;
            int place = seen.from_h * KW + seen.from_w;  // where all are -infinity, the first
            for (int h = seen.from_h; h < seen.to_h; ++h)
                for (int w = seen.from_w; w < seen.to_w; ++w) {
                    const float value = from[(seen.top + h) * width + seen.left + w];
                    if (value > best)
                        place = h * KW + w;
                    if (!(value <= best))
                        best = value;  // a NaN, too, after which nothing is larger
                }
            y[o] = best;
            if (winner)
                winner[o] = (PLACE)place;
            if (index)
                index[o] = (float)((seen.top + place / KW) * width + seen.left + place % KW);
        }
    }
}

// count = groups of `each` planes * height * width
KERNEL void max_backward(const Index count, const float *dy, const PLACE *winner, float *dx,
                         const int planes, const int each, const int height, const int width,
                         const int out_h, const int out_w, const int pad_h, const int pad_w)
{
    const Axis rows = {height, out_h, pad_h}, columns = {width, out_w, pad_w};
    KLOOP (i, count) {
        const Around seen = around(i, planes, each, rows, columns);
        for (long long plane = seen.plane; plane < seen.end; ++plane) {
            float sum = 0;
            for (int oh = seen.oh; oh < seen.end_h; ++oh)
                for (int ow = seen.ow; ow < seen.end_w; ++ow) {
                    const int place = (seen.h + pad_h - oh * SH) * KW + seen.w + pad_w - ow * SW;
                    const long long o = (plane * out_h + oh) * out_w + ow;
                    if (winner[o] == place)
                        sum += dy[o];
                }
            dx[(plane * height + seen.h) * width + seen.w] = sum;
        }
    }
}

KERNEL void mean_forward(const Index count, const float *x, float *y, const int planes,
                         const int each, const int height, const int width, const int out_h,
                         const int out_w, const int pad_h, const int pad_w)
{
    const Axis rows = {height, out_h, pad_h}, columns = {width, out_w, pad_w};
    KLOOP (i, count) {
        const Window seen = window_of(i, planes, each, rows, columns);
        const int area = places(seen.top, KH, rows) * places(seen.left, KW, columns);
        for (long long plane = seen.plane; plane < seen.end; ++plane) {
            const float *from = x + plane * height * width;
            float sum = 0;
            for (int h = seen.from_h; h < seen.to_h; ++h)
                for (int w = seen.from_w; w < seen.to_w; ++w)
                    sum += from[(seen.top + h) * width + seen.left + w];
            y[plane * out_h * out_w + i % (out_h * out_w)] = sum / area;
        }
    }
}

KERNEL void mean_backward(const Index count, const float *dy, float *dx, const int planes,
                          const int each, const int height, const int width, const int out_h,
                          const int out_w, const int pad_h, const int pad_w)
{
    const Axis rows = {height, out_h, pad_h}, columns = {width, out_w, pad_w};
    KLOOP (i, count) {
        const Around seen = around(i, planes, each, rows, columns);
        for (long long plane = seen.plane; plane < seen.end; ++plane) {
            const float *from = dy + plane * out_h * out_w;
            float sum = 0;
            for (int oh = seen.oh; oh < seen.end_h; ++oh)
                for (int ow = seen.ow; ow < seen.end_w; ++ow)
                    sum += from[oh * out_w + ow] / (places(oh * SH - pad_h, KH, rows) *
                                                    places(ow * SW - pad_w, KW, columns));
            dx[(plane * height + seen.h) * width + seen.w] = sum;
        }
    }
}
