// Softmax along the middle axis of (outer, classes, inner), and its gradient.
//
//   y[c]  = exp(x[c] - max(x)) / sum(exp(x[j] - max(x)) for all j)
//   dx[c] = y[c] * (dy[c] - sum(dy[j] * y[j] for all j))
//
// An item is one place in `outer` and `inner`; count is the number of items. y may be x, and dx dy.

#include "team.cuh"

template <class Team> DEVICE void softmax(const float *x, float *y, int classes, long long inner)
{
    float largest = -INFINITE, total = 0;
    TEAM (c, classes) largest = fmaxf(largest, x[c * inner]);
    largest = Team::max(largest);
    TEAM (c, classes) {
        const float share = expf(x[c * inner] - largest);
        y[c * inner] = share;
        total += share;
    }
    total = Team::sum(total);
    TEAM (c, classes) y[c * inner] /= total;
}

template <class Team>
DEVICE void gradient(const float *y, const float *dy, float *dx, int classes, long long inner)
{
    float dot = 0;
    TEAM (c, classes) dot += dy[c * inner] * y[c * inner];
    dot = Team::sum(dot);
    TEAM (c, classes) dx[c * inner] = y[c * inner] * (dy[c * inner] - dot);
}

ROW_KERNEL void forward_by_warps(const Index count, const float *x, float *y, const int classes,
                                 const int inner)
{
    ROWS (item, count) {
        const long long at = start(item, classes, inner);
        softmax<Warp>(x + at, y + at, classes, inner);
    }
}

KERNEL void forward_by_threads(const Index count, const float *x, float *y, const int classes,
                               const int inner)
{
    KLOOP (item, count) {
        const long long at = start(item, classes, inner);
        softmax<Alone>(x + at, y + at, classes, inner);
    }
}

ROW_KERNEL void backward_by_warps(const Index count, const float *y, const float *dy, float *dx,
                                  const int classes, const int inner)
{
    ROWS (item, count) {
        const long long at = start(item, classes, inner);
        gradient<Warp>(y + at, dy + at, dx + at, classes, inner);
    }
}

KERNEL void backward_by_threads(const Index count, const float *y, const float *dy, float *dx,
                                const int classes, const int inner)
{
    KLOOP (item, count) {
        const long long at = start(item, classes, inner);
        gradient<Alone>(y + at, dy + at, dx + at, classes, inner);
    }
}
