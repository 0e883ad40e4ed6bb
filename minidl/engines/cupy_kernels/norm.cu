// The length of all gradients together, and what they are to be multiplied with if it is too large:
//
//   norm = sqrt(sum of g[i]**2)         factor = limit / norm  where norm > limit, otherwise 1
//
// In two launches whose sums have the same order every time: first one partial sum for each warp,
// then the sum of those by a single one. Nothing of it passes through the host.

#include "kernels.cuh"

//   partial[r] = sum of g[i]**2 over the r-th stretch of `length` elements      count: rows
ROW_KERNEL void sum_of_squares(const Index count, const float *g, float *partial,
                               const long long elements, const long long length)
{
    ROWS (r, count) {
        const long long start = r * length;
        const long long here = elements - start < length ? elements - start : length;
        float total = 0;
        LANES (i, here) {
            const float value = g[start + i];
            total += value * value;
        }
        total = warp_sum(total);
        if (LANE == 0)
            partial[r] = total;
    }
}

//   result[0] = norm, result[1] = factor        count = 1 row
ROW_KERNEL void norm_and_factor(const Index count, const float *partial, float *result,
                                const int rows, const float limit)
{
    ROWS (only, count) {
        float total = 0;
        LANES (r, rows) total += partial[r];
        total = warp_sum(total);
        if (LANE == 0) {
            const float norm = sqrtf(total);
            result[0] = norm;
            result[1] = norm > limit ? limit / norm : 1.0f;
        }
    }
}
