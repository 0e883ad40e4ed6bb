// Images to columns and back, for filters of K = C * kh * kw elements on a grid of oh x ow places:
//
//   columns[(c, i, j), (n, u, v)] = x[n, c, u * sh - ph + i * dh, v * sw - pw + j * dw]
//
// and 0 outside the image. With the filters as a matrix W of M rows, W columns is their correlation
// with all images, and col2im of W' dy the gradient for x.
//
// Source: Chellapilla, Puri & Simard 2006.

#include "activate.cuh"
#include "numbers.cuh"

#ifndef NUMBER
#define NUMBER float
#endif

// count = C * N * oh * ow: a thread looks at one channel of one place and writes a column of
// kh * kw elements. Neighbours write side by side, and read much the same elements.
KERNEL void im2col(const Index count, const float *x, NUMBER *columns, const int images,
                   const int channels, const int height, const int width, const int oh,
                   const int ow, const int kh, const int kw, const int sh, const int sw,
                   const int ph, const int pw, const int dh, const int dw)
{
    const Index places = (Index)images * oh * ow;
    KLOOP (t, count) {
        const Index place = t % places, c = t / places;
        const Index v = place % ow, rest = place / ow, u = rest % oh, n = rest / oh;
        const int top = u * sh - ph, left = v * sw - pw;
        const float *image = x + ((long long)n * channels + c) * height * width;
        NUMBER *column = columns + (long long)c * kh * kw * places + place;
        for (int i = 0; i < kh; ++i) {
            const int row = top + i * dh;
            for (int j = 0; j < kw; ++j, column += places) {
                const int at = left + j * dw;
                const bool inside = 0 <= row && row < height && 0 <= at && at < width;
                *column = inside ? image[(long long)row * width + at] : 0.0f;
            }
        }
    }
}

//   x[n, c, y, z] = f(bias[c] + sum of columns[(c, i, j), (n, u, v)])
//
// over all taps (i, j) and places (u, v) with u * sh - ph + i * dh == y, v * sw - pw + j * dw == z.
//
// count = N * C * height * width: a thread gathers what belongs to its element, so nothing has to
// be cleared before, and the order of summation is always the same. bias may be 0.
KERNEL void col2im(const Index count, const float *columns, float *x, const float *bias,
                   const int images, const int channels, const int height, const int width,
                   const int oh, const int ow, const int kh, const int kw, const int sh,
                   const int sw, const int ph, const int pw, const int dh, const int dw,
                   const int kind, const float slope)
{
    const long long places = (long long)images * oh * ow;
    KLOOP (t, count) {
        const Index z = t % width, above = t / width, y = above % height, plane = above / height;
        const Index c = plane % channels, n = plane / channels;
        // Places whose window begins at most a kernel's length before this element.
        const int below = y + ph, right = z + pw;
        const int before = below - (kh - 1) * dh, behind = right - (kw - 1) * dw;
        const int u0 = before > 0 ? (before + sh - 1) / sh : 0, u1 = min(below / sh, oh - 1);
        const int v0 = behind > 0 ? (behind + sw - 1) / sw : 0, v1 = min(right / sw, ow - 1);
        const float *of_image = columns + (long long)c * kh * kw * places + (long long)n * oh * ow;
        float total = bias ? bias[c] : 0.0f;
        for (int u = u0; u <= u1; ++u) {
            const int i = (below - u * sh) / dh;
            if (i * dh != below - u * sh)
                continue;
            for (int v = v0; v <= v1; ++v) {
                const int j = (right - v * sw) / dw;
                if (j * dw == right - v * sw)
                    total += of_image[((long long)i * kw + j) * places + (long long)u * ow + v];
            }
        }
        x[t] = activate(kind, slope, total);
    }
}
