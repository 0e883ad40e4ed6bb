// What every kernel starts from. One source, two compilers: NVRTC for the GPU, and a C++ compiler
// for tests, where a launch is a plain loop and a warp is one lane.
//
//   KERNEL void scale(const Index count, const float *x, float *y, const float factor)
//   {
//       KLOOP (i, count) y[i] = factor * x[i];
//   }
//
// A kernel's first parameter is `count`, the number of turns of its loop, whatever the number of
// threads; all others are pointers, int, long long and float. KERNEL has one thread for each turn,
// ROW_KERNEL one warp:
//
//   ROW_KERNEL void sum(const Index count, const float *x, float *y, const long long length)
//   {
//       ROWS (row, count) {
//           float total = 0;
//           LANES (j, length) total += x[row * length + j];
//           total = warp_sum(total);
//           if (LANE == 0) y[row] = total;
//       }
//   }
//
// No shared memory and no barriers, so that the loop and the launch are the same thing.
//
// Index is what turns are counted in and cut into coordinates with: int, because a division of 64
// bits takes a GPU many times as long, or long long where count does not fit (launch.py chooses).
// Offsets into arrays may be larger than count: compute them in long long.

#ifdef WIDE
typedef long long Index;
#else
typedef int Index;
#endif

#ifdef __CUDACC__

#define KERNEL extern "C" __global__
#define DEVICE __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define WARP 32
#define LANE (threadIdx.x % WARP)
#define THREAD ((Index)blockIdx.x * blockDim.x + threadIdx.x)
#define THREADS ((Index)gridDim.x * blockDim.x)
#define KLOOP(i, n) for (Index i = THREAD; i < (n); i += THREADS)
#define ROWS(row, n) for (Index row = THREAD / WARP; row < (n); row += THREADS / WARP)

DEVICE float warp_sum(float value)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, apart);
    return value;
}

DEVICE float warp_max(float value)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, apart));
    return value;
}

DEVICE unsigned bits_of(float value) { return __float_as_uint(value); }
DEVICE float float_of(unsigned bits) { return __uint_as_float(bits); }

#else

#include <math.h>
#include <string.h>

#define KERNEL extern "C"
#define DEVICE static inline
#define DEVICE_MEMBER inline
#define WARP 1
#define LANE 0
#define KLOOP(i, n) for (Index i = 0; i < (n); ++i)
#define ROWS(row, n) for (Index row = 0; row < (n); ++row)

DEVICE float warp_sum(float value) { return value; }
DEVICE float warp_max(float value) { return value; }

DEVICE int min(int a, int b) { return a < b ? a : b; }
DEVICE int max(int a, int b) { return a < b ? b : a; }

DEVICE unsigned bits_of(float value)
{
    unsigned bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

DEVICE float float_of(unsigned bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif

#define ROW_KERNEL KERNEL
#define LANES(j, n) for (long long j = LANE; j < (n); j += WARP)

// NVRTC knows neither by its usual name.
#define NOT_A_NUMBER float_of(0x7fc00000u)
#define INFINITE float_of(0x7f800000u)
