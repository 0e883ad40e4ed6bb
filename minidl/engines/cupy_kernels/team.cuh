// Who works on one item of several numbers: a warp, whose lanes take turns over them, or a thread
// alone. Lanes side by side read side by side where an item's numbers do; where they lie far apart
// and the next item's beside them, threads side by side do.

#include "kernels.cuh"

struct Warp {
    static DEVICE_MEMBER int first() { return LANE; }
    static DEVICE_MEMBER int step() { return WARP; }
    static DEVICE_MEMBER float sum(float value) { return warp_sum(value); }
    static DEVICE_MEMBER float max(float value) { return warp_max(value); }
};

struct Alone {
    static DEVICE_MEMBER int first() { return 0; }
    static DEVICE_MEMBER int step() { return 1; }
    static DEVICE_MEMBER float sum(float value) { return value; }
    static DEVICE_MEMBER float max(float value) { return value; }
};

#define TEAM(j, n) for (int j = Team::first(); j < (n); j += Team::step())
