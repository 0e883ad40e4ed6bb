// Convolutions whose filters see one channel each: a matrix product would have one row there, so
// these go over the windows themselves.
//
// An image x has N x C planes of height x width, a map y N x M planes of oh x ow; M = C * E, and
// the E maps m = c * E + e see channel c alone, each through its own w[m] of kh x kw taps.

#include "activate.cuh"

// The place of tap i of the window at u: negative outside the image, at either end.
DEVICE int under(const int u, const int i, const int stride, const int pad, const int dilation,
                 const int size)
{
    const int at = u * stride - pad + i * dilation;
    return at < size ? at : -1;
}

//   y[n, m, u, v] = f(bias[m] + sum of w[m, i, j] * x[n, c, u * sh - ph + i * dh, v * sw - ...])
//
// over the taps. count = N * M * oh * ow; bias may be 0.
KERNEL void gather(const Index count, const float *x, const float *w, float *y, const float *bias,
                   const int maps, const int each, const int height, const int width, const int oh,
                   const int ow, const int kh, const int kw, const int sh, const int sw,
                   const int ph, const int pw, const int dh, const int dw, const int kind,
                   const float slope)
{
    KLOOP (t, count) {
        const Index v = t % ow, above = t / ow, u = above % oh, plane = above / oh;
        const Index m = plane % maps;
        const float *image = x + (long long)(plane / each) * height * width;
        const float *tap = w + (long long)m * kh * kw;
        float total = bias ? bias[m] : 0.0f;
        for (int i = 0; i < kh; ++i) {
            const int row = under(u, i, sh, ph, dh, height);
            for (int j = 0; j < kw; ++j, ++tap) {
                const int at = under(v, j, sw, pw, dw, width);
                if (row >= 0 && at >= 0)
                    total += *tap * image[(long long)row * width + at];
            }
        }
        y[t] = activate(kind, slope, total);
    }
}

//   x[n, c, y, z] = f(bias[c] + sum of w[m, i, j] * dy[n, m, u, v])
//
// over the E maps m of channel c, and taps and places with u * sh - ph + i * dh == y, v * sw - pw +
// j * dw == z. count = N * C * height * width; bias may be 0.
KERNEL void scatter(const Index count, const float *dy, const float *w, float *x,
                    const float *bias, const int channels, const int each, const int height,
                    const int width, const int oh, const int ow, const int kh, const int kw,
                    const int sh, const int sw, const int ph, const int pw, const int dh,
                    const int dw, const int kind, const float slope)
{
    KLOOP (t, count) {
        const Index z = t % width, above = t / width, y = above % height, plane = above / height;
        const Index c = plane % channels;
        float total = bias ? bias[c] : 0.0f;
        for (int e = 0; e < each; ++e) {
            const float *map = dy + ((long long)plane * each + e) * oh * ow;
            const float *tap = w + ((long long)c * each + e) * kh * kw;
            for (int i = 0; i < kh; ++i) {
                const int down = y + ph - i * dh;
                if (down < 0 || down % sh || down / sh >= oh)
                    continue;
                for (int j = 0; j < kw; ++j) {
                    const int across = z + pw - j * dw;
                    if (across >= 0 && across % sw == 0 && across / sw < ow)
                        total += tap[i * kw + j] * map[(long long)(down / sh) * ow + across / sw];
                }
            }
        }
        x[t] = activate(kind, slope, total);
    }
}

//   sums[n, m, i, j] = sum of dy[n, m, u, v] * x[n, c, u * sh - ph + i * dh, v * sw - pw + j * dw]
//
// over the places. count = N * M * kh * kw rows; sum_images (maps.cu) adds up the images.
ROW_KERNEL void filters(const Index count, const float *x, const float *dy, float *sums,
                        const int each, const int height, const int width, const int oh,
                        const int ow, const int kh, const int kw, const int sh, const int sw,
                        const int ph, const int pw, const int dh, const int dw)
{
    ROWS (t, count) {
        const Index j = t % kw, above = t / kw, i = above % kh, plane = above / kh;
        const float *image = x + (long long)(plane / each) * height * width;
        const float *map = dy + (long long)plane * oh * ow;
        float total = 0;
        LANES (place, oh * ow) {
            const int row = under((int)place / ow, i, sh, ph, dh, height);
            const int at = under((int)place % ow, j, sw, pw, dw, width);
            if (row >= 0 && at >= 0)
                total += map[place] * image[(long long)row * width + at];
        }
        total = warp_sum(total);
        if (LANE == 0)
            sums[t] = total;
    }
}
