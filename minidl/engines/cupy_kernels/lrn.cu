// Local response normalisation of (images, channels, places), with h = SIZE / 2 neighbours on
// either side:
//
//   s[c]  = k + alpha * sum(x[j]**2 for |j - c| <= h)      y[c] = x[c] * s[c]**-beta
//   r[j]  = dy[j] * x[j] * s[j]**(-beta - 1)
//   dx[c] = dy[c] * s[c]**-beta - 2 * alpha * beta * x[c] * sum(r[j] for |j - c| <= h)
//
// A thread walks over a strip of channels at one place; threads side by side are at places side by
// side. The window moves with it in registers, so an element is read once, not SIZE times, and its
// squares are added up again at every step: a running sum that adds one and drops one can leave a
// quiet channel next to a loud one with a negative sum. Backward works s out again: two windows, the
// second h channels behind the first, cost less than an array of s to write and read.

#include "kernels.cuh"

#ifndef SIZE
#define SIZE 5
#endif
#define HALF (SIZE / 2)

// s**-beta; beta is as good as always 3/4, and roots are cheaper than a power.
DEVICE float damping(float s, float beta)
{
    if (beta != 0.75f)
        return powf(s, -beta);
    const float root = 1 / sqrtf(s);
    return root * sqrtf(root);
}

DEVICE void push(float *window, float value)
{
    for (int j = 1; j < SIZE; ++j)
        window[j - 1] = window[j];
    window[SIZE - 1] = value;
}

DEVICE float energy(const float *window, float alpha, float k)
{
    float sum = 0;
    for (int j = 0; j < SIZE; ++j)
        sum += window[j] * window[j];
    return k + alpha * sum;
}

// Where a thread is: channels first ... end - 1 at one place, `at` being the place's channel 0.
struct Strip {
    long long at;
    int first, end;
};

DEVICE Strip strip_of(Index i, int channels, int places, int strip)
{
    const int strips = (channels + strip - 1) / strip;
    const Index line = i / places, image = line / strips;
    const int first = (int)(line % strips) * strip;
    const long long at = (long long)image * channels * places + i % places;
    return {at, first, first + strip < channels ? first + strip : channels};
}

// count = images * strips * places, with `strip` channels in each but the last
KERNEL void across_forward(const Index count, const float *x, float *y, const int channels,
                           const int places, const int strip, const float alpha, const float beta,
                           const float k)
{
    KLOOP (i, count) {
        const Strip mine = strip_of(i, channels, places, strip);
        float window[SIZE] = {0};
        for (int c = mine.first - 2 * HALF; c < mine.end; ++c) {
            const int head = c + HALF;
            const bool inside = 0 <= head && head < channels;
            push(window, inside ? x[mine.at + (long long)head * places] : 0);
            if (c >= mine.first) {
                const float s = energy(window, alpha, k);
                y[mine.at + (long long)c * places] = window[HALF] * damping(s, beta);
            }
        }
    }
}

KERNEL void across_backward(const Index count, const float *x, const float *dy, float *dx,
                            const int channels, const int places, const int strip,
                            const float alpha, const float beta, const float k)
{
    KLOOP (i, count) {
        const Strip mine = strip_of(i, channels, places, strip);
        float window[SIZE] = {0}, ratios[SIZE] = {0}, direct[SIZE] = {0};
        for (int j = mine.first - 3 * HALF; j < mine.end + HALF; ++j) {
            const int head = j + HALF, c = j - HALF;
            const bool inside = 0 <= head && head < channels;
            push(window, inside ? x[mine.at + (long long)head * places] : 0);
            float ratio = 0, share = 0;  // of channel j
            if (j >= mine.first - HALF && 0 <= j && j < channels) {
                const float s = energy(window, alpha, k);
                share = dy[mine.at + (long long)j * places] * damping(s, beta);
                ratio = share * window[HALF] / s;
            }
            push(ratios, ratio);
            push(direct, share);
            if (c >= mine.first) {
                float sum = 0;
                for (int a = 0; a < SIZE; ++a)
                    sum += ratios[a];
                const long long at = mine.at + (long long)c * places;
                // direct is SIZE long, so its middle is HALF behind its head: channel c.
                dx[at] = direct[HALF] - 2 * alpha * beta * x[at] * sum;
            }
        }
    }
}
