// Batch normalisation of (images, channels, places): each channel by the mean and variance of its
// m = images * places numbers.
//
//   y  = (x - mean) * inv_std,       inv_std = 1 / sqrt(variance + eps)
//   dx = (dy - mean(dy) - y * mean(dy * y)) * inv_std
//
// Sums go in two stages, always in the same order: warps take parts of a channel, `length` numbers
// each, then one warp for each channel puts the parts together. Of its part a warp takes the mean
// first and squares what is off that; mean(x**2) - mean(x)**2 would lose all its digits where the
// mean is large. The second look finds the part in the cache.

#include "kernels.cuh"

// Where number j of a channel is.
DEVICE long long place(int j, int channel, int channels, int places)
{
    return ((long long)(j / places) * channels + channel) * places + j % places;
}

// count = parts * channels, in this order of axes. squares: of the distances from the part's mean.
ROW_KERNEL void part_moments(const Index count, const float *x, float *means, float *squares,
                             const int channels, const int places, const int size,
                             const int length)
{
    ROWS (row, count) {
        const int channel = row % channels, from = row / channels * length;
        const int many = min(length, size - from);
        float sum = 0, square = 0;
        LANES (k, many) sum += x[place(from + k, channel, channels, places)];
        const float mean = warp_sum(sum) / many;
        LANES (k, many) {
            const float off = x[place(from + k, channel, channels, places)] - mean;
            square += off * off;
        }
        square = warp_sum(square);
        if (LANE == 0) {
            means[row] = mean;
            squares[row] = square;
        }
    }
}

// count = channels. Moments of parts make those of the channel (Chan, Golub & LeVeque 1983), which
// are then added to the statistics: s = fraction * s + new.
ROW_KERNEL void moments(const Index count, const float *means, const float *squares, float *mean,
                        float *inv_std, float *all_means, float *all_variances, float *factor,
                        const int channels, const int size, const int length,
                        const float fraction, const float eps)
{
    const int parts = (size + length - 1) / length;
    ROWS (channel, count) {
        float sum = 0, square = 0;
        LANES (part, parts)
            sum += means[part * channels + channel] * min(length, size - (int)part * length);
        const float mu = warp_sum(sum) / size;
        LANES (part, parts) {
            const float off = means[part * channels + channel] - mu;
            square += squares[part * channels + channel] +
                      off * off * min(length, size - (int)part * length);
        }
        const float variance = warp_sum(square) / size;
        if (LANE == 0) {
            mean[channel] = mu;
            inv_std[channel] = 1 / sqrtf(variance + eps);
            const float unbiased = size > 1 ? variance * ((float)size / (size - 1)) : variance;
            all_means[channel] = fraction * all_means[channel] + mu;
            all_variances[channel] = fraction * all_variances[channel] + unbiased;
            if (channel == 0)
                *factor = fraction * *factor + 1;
        }
    }
}

// count = channels. What was seen so far: the statistics by their weight; 0 before anything was.
KERNEL void global_moments(const Index count, const float *all_means, const float *all_variances,
                           const float *factor, float *mean, float *inv_std, const float eps)
{
    KLOOP (channel, count) {
        const float weight = *factor == 0 ? 0 : 1 / *factor;
        mean[channel] = all_means[channel] * weight;
        inv_std[channel] = 1 / sqrtf(all_variances[channel] * weight + eps);
    }
}

// y may be x; `kept`, unless 0, gets a copy of x for backward.
KERNEL void normalise(const Index count, const float *x, const float *mean, const float *inv_std,
                      float *y, float *kept, const int channels, const int places)
{
    KLOOP (i, count) {
        const int channel = (int)(i / places % channels);
        const float value = x[i];
        y[i] = (value - mean[channel]) * inv_std[channel];
        if (kept)
            kept[i] = value;
    }
}

// count = parts * channels: sums of dy, and of dy * (x - mean)
ROW_KERNEL void part_slopes(const Index count, const float *x, const float *dy, const float *mean,
                            float *sums, float *dots, const int channels, const int places,
                            const int size, const int length)
{
    ROWS (row, count) {
        const int channel = row % channels, from = row / channels * length;
        float sum = 0, dot = 0;
        LANES (k, min(length, size - from)) {
            const long long at = place(from + k, channel, channels, places);
            sum += dy[at];
            dot += dy[at] * (x[at] - mean[channel]);
        }
        sum = warp_sum(sum);
        dot = warp_sum(dot);
        if (LANE == 0) {
            sums[row] = sum;
            dots[row] = dot;
        }
    }
}

// count = channels: mean(dy), and the factor on x - mean, mean(dy * y) * inv_std
ROW_KERNEL void slopes(const Index count, const float *sums, const float *dots,
                       const float *inv_std, float *mean_dy, float *slope, const int channels,
                       const int size, const int parts)
{
    ROWS (channel, count) {
        float sum = 0, dot = 0;
        LANES (part, parts) {
            sum += sums[part * channels + channel];
            dot += dots[part * channels + channel];
        }
        sum = warp_sum(sum);
        dot = warp_sum(dot);
        if (LANE == 0) {
            mean_dy[channel] = sum / size;
            slope[channel] = dot / size * inv_std[channel] * inv_std[channel];
        }
    }
}

// dx may be dy.
KERNEL void backward(const Index count, const float *x, const float *dy, const float *mean,
                     const float *inv_std, const float *mean_dy, const float *slope, float *dx,
                     const int channels, const int places)
{
    KLOOP (i, count) {
        const int c = (int)(i / places % channels);
        dx[i] = (dy[i] - mean_dy[c] - (x[i] - mean[c]) * slope[c]) * inv_std[c];
    }
}

// The gradient with global statistics, which do not depend on x.
KERNEL void scale(const Index count, const float *dy, const float *inv_std, float *dx,
                  const int channels, const int places)
{
    KLOOP (i, count) dx[i] = dy[i] * inv_std[i / places % channels];
}
