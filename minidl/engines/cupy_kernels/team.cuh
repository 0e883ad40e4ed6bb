// Items of several numbers each, as scores with classes: (outer, classes, inner), where an item is
// one place in `outer` and `inner`; and who works on one. A warp, whose lanes take turns over the
// numbers, reads side by side where they lie so; where they lie far apart, and the next item's
// beside them, threads that work alone do.

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

// Where an item's number of class 0 is; the next class's is `inner` further on.
DEVICE long long start(Index item, int classes, int inner)
{
    return (long long)(item / inner) * classes * inner + item % inner;
}
