// Dropout: y = m * x and dx = m * dy, with m = 0 where u < ratio, and `scale` elsewhere.
//
// u are the numbers that NumPy's Generator.random(dtype=float32) draws from the layer's stream:
// number e is made of the upper 24 bits of half e % 2 (the lower one first) of word e / 2. So every
// pass drops the very elements that it would drop on the CPU.

#include "philox.cuh"

// Bit e % 8 of byte e / 8: whether element e stays. One thread draws the eight numbers of a block
// and writes one whole byte, so count is the number of bytes. The pass is read from device memory,
// which a captured graph counts up.
KERNEL void draw(const Index count, unsigned char *stays, const Word *pass, const long long low,
                 const long long high, const float ratio)
{
    KLOOP (i, count) {
        const Block block = philox(i, *pass, low, high);
        unsigned bits = 0;
        for (int e = 0; e < 8; ++e) {
            const unsigned half = (unsigned)(block.word[e / 2] >> (e % 2 * 32));
            const float u = (half >> 8) * (1.0f / (1 << 24));
            bits |= (unsigned)(u >= ratio) << e;
        }
        stays[i] = (unsigned char)bits;
    }
}

// Forward on x, and backward on dy; y may be x. A product, as in the array code: NaN stays NaN.
KERNEL void apply(const Index count, const float *x, const unsigned char *stays, float *y,
                  const float scale)
{
    KLOOP (i, count) y[i] = x[i] * (stays[i / 8] >> (i % 8) & 1 ? scale : 0);
}
