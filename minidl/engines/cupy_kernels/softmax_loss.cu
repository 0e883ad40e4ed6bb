// Cross-entropy of probabilities p, (outer, classes, inner), with one label for each item (a place
// in outer and inner), and the gradient of the scores that p is the softmax of.
//
//   loss  = sum(-log(max(p[t], FLT_MIN)) over the items that are not ignored) / n
//   dx[c] = w * (p[c] - (1 where c is t)) / n      (0 for ignored items; w is the loss's gradient)
//         + p[c] * (dp[c] - sum(dp[j] * p[j]))     where a gradient dp of p comes down as well
//
// t is the item's label, n `fixed`, or where that is 0 the number of items that count, at least 1.
// A label that is no class makes the loss, and the item's gradient, NaN.
//
// The sum is taken in two stages, always in the same order, so that equal inputs give equal bits:
// warps add up `length` items each (parts), then one warp adds up what they found (total).

#include "team.cuh"

#define SMALLEST 1.17549435e-38f  // FLT_MIN

DEVICE bool is_class(float label, int classes)
{
    return label >= 0 && label < classes && label == floorf(label);  // all false for NaN
}

// `ignore` is NaN, which equals no label, where all items count.
ROW_KERNEL void parts(const Index count, const float *p, const float *labels, float *losses,
                      float *counted, const int items, const int length, const int classes,
                      const int inner, const float ignore)
{
    ROWS (part, count) {
        const int first = part * length, left = items - first;
        float loss = 0, number = 0;
        LANES (k, left < length ? left : length) {
            const int item = first + k;
            const float label = labels[item];
            if (label == ignore)
                continue;
            number += 1;
            float true_p = NOT_A_NUMBER;
            if (is_class(label, classes))
                true_p = p[start(item, classes, inner) + (long long)label * inner];
            loss -= logf(true_p < SMALLEST ? SMALLEST : true_p);  // fmaxf would lose a NaN
        }
        loss = warp_sum(loss);
        number = warp_sum(number);
        if (LANE == 0) {
            losses[part] = loss;
            counted[part] = number;
        }
    }
}

// count = 1; n is left in `divisor` for backward.
ROW_KERNEL void total(const Index count, const float *losses, const float *counted, float *loss,
                      float *divisor, const int parts, const float fixed)
{
    ROWS (one, count) {
        float sum = 0, number = 0;
        LANES (part, parts) {
            sum += losses[part];
            number += counted[part];
        }
        sum = warp_sum(sum);
        number = warp_sum(number);
        if (LANE == 0) {
            *divisor = fixed > 0 ? fixed : number > 1 ? number : 1;
            *loss = sum / *divisor;
        }
    }
}

template <class Team>
DEVICE void gradient(const float *p, const float *dp, float label, float scale, float *dx,
                     int classes, long long inner, float ignore)
{
    const bool counts = label != ignore;
    const float one = is_class(label, classes) ? 1 : NOT_A_NUMBER;
    float dot = 0;
    if (dp)
        TEAM (c, classes) dot += dp[c * inner] * p[c * inner];
    dot = Team::sum(dot);
    TEAM (c, classes) {
        const float prob = p[c * inner];
        const float error = counts ? prob - (c == label ? 1 : one - 1) : 0;
        const float through = dp ? prob * (dp[c * inner] - dot) : 0;
        dx[c * inner] = scale * error + through;
    }
}

// count = items; dp may be 0.
ROW_KERNEL void backward_by_warps(const Index count, const float *p, const float *labels,
                                  const float *dloss, const float *divisor, const float *dp,
                                  float *dx, const int classes, const int inner,
                                  const float ignore)
{
    ROWS (item, count) {
        const long long at = start(item, classes, inner);
        gradient<Warp>(p + at, dp ? dp + at : dp, labels[item], *dloss / *divisor, dx + at, classes,
                       inner, ignore);
    }
}

KERNEL void backward_by_threads(const Index count, const float *p, const float *labels,
                                const float *dloss, const float *divisor, const float *dp,
                                float *dx, const int classes, const int inner, const float ignore)
{
    KLOOP (item, count) {
        const long long at = start(item, classes, inner);
        gradient<Alone>(p + at, dp ? dp + at : dp, labels[item], *dloss / *divisor, dx + at,
                        classes, inner, ignore);
    }
}
