// f(x) of the activations, for kernels that end with one.

#include "kernels.cuh"

// What `kind` says (maps.py has the names).
#define NO_ACTIVATION 0
#define RELU 1
#define SIGMOID 2
#define TANH 3

// relu is x where x > 0 and slope * x elsewhere; a slope of 0 gives 0 for -infinity, too, and what
// is not a number stays so.
DEVICE float activate(const int kind, const float slope, const float x)
{
    if (kind == RELU)
        return x <= 0 ? (slope == 0 ? 0.0f : slope * x) : x;
    if (kind == SIGMOID)
        return 1 / (1 + expf(-x));
    if (kind == TANH)
        return tanhf(x);
    return x;
}
