// A GPU of one warp: what CUDA gives kernels, for a C++ compiler. Blocks and warps run one after
// the other; the 32 lanes of a warp are coroutines, which wait for each other at every shuffle.
// So the GPU's side of kernels.cuh runs: grids, strides, lanes and shuffles. Not shown: how lanes
// and warps get in each other's way in memory.

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <functional>

#define __CUDACC__ 1
#define __global__
#define __device__
#define __forceinline__ inline

struct Place {
    unsigned x, y, z;
};
static Place threadIdx, blockIdx, blockDim, gridDim;

static ucontext_t warp, lanes[32];
static char stacks[32][1 << 16];
static bool ended[32];
static int lane;
static unsigned long long slots[32];
static const std::function<void()> *work;

static void wait_for_the_others() { swapcontext(&lanes[lane], &warp); }

template <class T> T __shfl_xor_sync(unsigned mask, T value, int apart)
{
    if (mask != 0xffffffffu)
        abort();
    memcpy(&slots[lane], &value, sizeof value);
    wait_for_the_others();
    memcpy(&value, &slots[lane ^ apart], sizeof value);
    wait_for_the_others();
    return value;
}

static unsigned __float_as_uint(float value)
{
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float __uint_as_float(unsigned bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned __int128)a * b >> 64;
}

static int min(int a, int b) { return a < b ? a : b; }
static int max(int a, int b) { return a < b ? b : a; }

static void run_lane()
{
    (*work)();
    ended[lane] = true;
}

// All lanes in turn, each up to its next shuffle, until all have ended. False if some have ended
// while others wait for them: what a GPU's shuffle would give is then undefined.
static bool run_warp()
{
    for (int i = 0; i < 32; ++i) {
        getcontext(&lanes[i]);
        lanes[i].uc_stack.ss_sp = stacks[i];
        lanes[i].uc_stack.ss_size = sizeof stacks[i];
        lanes[i].uc_link = &warp;
        makecontext(&lanes[i], run_lane, 0);
        ended[i] = false;
    }
    const unsigned first = threadIdx.x;
    for (int left = 32; left > 0;) {
        left = 0;
        for (lane = 0; lane < 32; ++lane) {
            threadIdx.x = first + lane;
            swapcontext(&warp, &lanes[lane]);
            left += !ended[lane];
        }
        if (left != 0 && left != 32)
            return false;
    }
    threadIdx.x = first;
    return true;
}

static bool launch(unsigned blocks, unsigned threads, const std::function<void()> &kernel)
{
    work = &kernel;
    gridDim.x = blocks;
    blockDim.x = threads;
    bool together = true;
    for (blockIdx.x = 0; together && blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; together && threadIdx.x < threads; threadIdx.x += 32)
            together = run_warp();
    work = nullptr;
    return together;
}

// A pointer of whatever type a kernel takes.
struct Pointer {
    void *address;
    template <class T> operator T *() const { return (T *)address; }
};
