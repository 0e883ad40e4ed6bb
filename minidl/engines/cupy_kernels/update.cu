// The SGD step of all parameters of a net in one launch.
//
//   g' = scale * factor * g + decay * d * w        with weight decay, or with L1: decay * d * sign(w)
//   h  = momentum * h + rate * m * g'
//   w  = w - h
//
// w, g and h are arenas: all parameters one after the other, each starting at a multiple of four
// elements. The s-th of them starts at starts[s] and has the factors m = multipliers[2 s] on the
// rate and d = multipliers[2 s + 1] on the decay.
//
// Source: Polyak 1964, with the rate inside the history, as Caffe has it.

#include "kernels.cuh"

struct alignas(16) Four {  // what a thread reads and writes at once
    float x[4];
};

// The last of the segments that starts at or before an element.
DEVICE int segment_of(const long long element, const long long *starts, const int segments)
{
    int low = 0, high = segments;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (starts[middle] <= element)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// count: elements / 4. `factor` is one more factor on the gradient, on the device; it may be 0.
KERNEL void sgd(const Index count, float *w, const float *g, float *h, const long long *starts,
                const float *multipliers, const int segments, const float rate, const float scale,
                const float momentum, const float decay, const int l1, const float *factor)
{
    const float on_gradient = factor ? scale * *factor : scale;
    KLOOP (i, count) {
        const int s = segment_of(4LL * i, starts, segments);
        const float own_rate = rate * multipliers[2 * s], own_decay = decay * multipliers[2 * s + 1];
        const Four gradient = reinterpret_cast<const Four *>(g)[i];
        Four weight = reinterpret_cast<Four *>(w)[i], history = reinterpret_cast<Four *>(h)[i];
        for (int k = 0; k < 4; ++k) {
            const float v = weight.x[k];
            const float penalty = l1 ? (float)((v > 0) - (v < 0)) : v;
            float finished = on_gradient * gradient.x[k];
            if (own_decay != 0)
                finished += own_decay * penalty;
            history.x[k] = momentum * history.x[k] + own_rate * finished;
            weight.x[k] = v - history.x[k];
        }
        reinterpret_cast<Four *>(h)[i] = history;
        reinterpret_cast<Four *>(w)[i] = weight;
    }
}
