// Blobs behind one another along an axis: each is a slice, `slice` numbers long, of every stretch
// of `stretch` numbers of the whole, from `from` on.
//
//   join   whole[s * stretch + from + j] = part[s * slice + j]
//   cut    the way back

#include "kernels.cuh"

KERNEL void join(const Index count, const float *part, float *whole, const int slice,
                 const int stretch, const int from)
{
    KLOOP (i, count) whole[(long long)(i / slice) * stretch + from + i % slice] = part[i];
}

KERNEL void cut(const Index count, const float *whole, float *part, const int slice,
                const int stretch, const int from)
{
    KLOOP (i, count) part[i] = whole[(long long)(i / slice) * stretch + from + i % slice];
}
