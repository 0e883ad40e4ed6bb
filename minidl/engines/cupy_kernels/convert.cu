// Copies between arrangements and number types.
//
//   target[n, c, p] = source[n, c, p]        for all images n, channels c, places p
//
// FROM and TO are float, Half or Bfloat16. FROM_LAST and TO_LAST say whether the channels are
// innermost there (N, P, C: "nhwc") or the places are (N, C, P: "nchw").

#include "numbers.cuh"

#ifndef FROM
#define FROM float
#endif
#ifndef TO
#define TO float
#endif
#ifndef FROM_LAST
#define FROM_LAST 0
#endif
#ifndef TO_LAST
#define TO_LAST 0
#endif

// count = N * C * P. Threads follow the target, so that writes lie side by side.
KERNEL void convert(const Index count, const FROM *source, TO *target, const int channels,
                    const int places)
{
    KLOOP (i, count) {
        Index from = i;
        if (FROM_LAST != TO_LAST) {
            const Index inner = TO_LAST ? channels : places, outer = TO_LAST ? places : channels;
            const Index a = i % inner, rest = i / inner, b = rest % outer, n = rest / outer;
            from = (n * inner + a) * outer + b;
        }
        target[i] = (float)source[from];
    }
}
