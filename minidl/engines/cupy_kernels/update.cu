// One step of a solver's rule for all parameters of a net, in one launch.
//
// Each element w, with gradient g and histories h and, where the rule keeps two, d:
//
//   g' = scale * factor * g + decay * n * w        with weight decay; with L1: decay * n * sign(w)
//   r  = rate * m
//
//   SGD        h = keep * h + r * g'                   w = w - h
//   NESTEROV   h = keep * h + r * g'                   w = w - (keep * h + r * g')
//   ADAGRAD    h = h + g'^2                            w = w - r * g' / (sqrt(h) + delta)
//   RMSPROP    h = keep * h + blend * g'^2             w = w - r * g' / (sqrt(h) + delta)
//   ADADELTA   h = keep * h + blend * g'^2             v = g' * sqrt((d + delta) / (h + delta))
//              d = keep * d + blend * v^2              w = w - r * v
//   ADAM       h = keep * h + blend * g'               d = keep2 * d + blend2 * g'^2
//                                                      w = w - correction * r * h / (sqrt(d) + delta)
//
// Where the decay is decoupled, g' has none in it and w = w - r * decay * n * w comes first.
//
// w, g, h and d are arenas: all parameters one after the other, each starting at a multiple of four
// elements. The s-th of them starts at starts[s] and has the factors m = multipliers[2 s] on the
// rate and n = multipliers[2 s + 1] on the decay.
//
// blend is 1 - keep, which the host knows better than float32 does. The sources of the rules are
// named in minidl/solver/rules.py.

#include "kernels.cuh"

#define SGD 0
#define NESTEROV 1
#define ADAGRAD 2
#define RMSPROP 3
#define ADADELTA 4
#define ADAM 5
#ifndef RULE
#define RULE SGD
#endif
#define TWO_HISTORIES (RULE == ADADELTA || RULE == ADAM)

struct alignas(16) Four {  // what a thread reads and writes at once
    float x[4];
};

struct Numbers {  // the same for all elements
    float keep, blend, keep2, blend2, delta, correction;
};

// The step that w takes; h and d become what they are to be.
DEVICE float step_of(const float g, float &h, float &d, const float rate, const Numbers &n)
{
    (void)d;  // most rules keep one history
#if RULE == SGD
    h = n.keep * h + rate * g;
    return h;
#elif RULE == NESTEROV
    h = n.keep * h + rate * g;
    return n.keep * h + rate * g;
#elif RULE == ADAGRAD
    h += g * g;
    return rate * g / (sqrtf(h) + n.delta);
#elif RULE == RMSPROP
    h = n.keep * h + n.blend * (g * g);
    return rate * g / (sqrtf(h) + n.delta);
#elif RULE == ADADELTA
    h = n.keep * h + n.blend * (g * g);
    const float v = g * sqrtf((d + n.delta) / (h + n.delta));
    d = n.keep * d + n.blend * (v * v);
    return rate * v;
#else
    h = n.keep * h + n.blend * g;
    d = n.keep2 * d + n.blend2 * (g * g);
    return n.correction * rate * h / (sqrtf(d) + n.delta);
#endif
}

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

// count: elements / 4. `d` may be 0 where the rule keeps one history. `factor` is one more factor on
// the gradient, on the device; it may be 0.
KERNEL void update(const Index count, float *w, const float *g, float *h, float *d,
                   const long long *starts, const float *multipliers, const int segments,
                   const float rate, const float correction, const float scale, const float decay,
                   const int l1, const int decoupled, const float keep, const float blend,
                   const float keep2, const float blend2, const float delta, const float *factor)
{
    const float on_gradient = factor ? scale * *factor : scale;
    const Numbers numbers = {keep, blend, keep2, blend2, delta, correction};
    KLOOP (i, count) {
        const int s = segment_of(4LL * i, starts, segments);
        const float own_rate = rate * multipliers[2 * s], own_decay = decay * multipliers[2 * s + 1];
        const Four gradient = reinterpret_cast<const Four *>(g)[i];
        Four weight = reinterpret_cast<Four *>(w)[i], first = reinterpret_cast<Four *>(h)[i];
        Four second = {};
        if (TWO_HISTORIES)
            second = reinterpret_cast<Four *>(d)[i];
        for (int k = 0; k < 4; ++k) {
            const float penalty = l1 ? (float)((weight.x[k] > 0) - (weight.x[k] < 0)) : weight.x[k];
            float finished = on_gradient * gradient.x[k];
            if (own_decay != 0) {
                if (decoupled)
                    weight.x[k] -= own_rate * own_decay * penalty;
                else
                    finished += own_decay * penalty;
            }
            weight.x[k] -= step_of(finished, first.x[k], second.x[k], own_rate, numbers);
        }
        reinterpret_cast<Four *>(w)[i] = weight;
        reinterpret_cast<Four *>(h)[i] = first;
        if (TWO_HISTORIES)
            reinterpret_cast<Four *>(d)[i] = second;
    }
}
