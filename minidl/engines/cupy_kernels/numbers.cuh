// Numbers of 16 bits as kernels store them: they are read as float and written from one, rounded
// to the nearest, ties to even. No CUDA header is needed, which a GPU's machine may lack.

#include "kernels.cuh"

// bfloat16: the upper half of a float.
struct Bfloat16 {
    unsigned short bits;

    DEVICE_MEMBER operator float() const { return float_of((unsigned)bits << 16); }

    DEVICE_MEMBER Bfloat16 &operator=(float value)
    {
        const unsigned b = bits_of(value);
        if (value != value)
            bits = (unsigned short)(b >> 16 | 0x40u);  // a NaN of any kind, kept one
        else
            bits = (unsigned short)((b + 0x7fffu + (b >> 16 & 1u)) >> 16);
        return *this;
    }
};

// IEEE half precision: 5 bits of exponent, 10 of fraction.
struct Half {
    unsigned short bits;

#ifdef __CUDACC__
    DEVICE_MEMBER operator float() const
    {
        float value;
        asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
        return value;
    }

    DEVICE_MEMBER Half &operator=(float value)
    {
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
        return *this;
    }
#else
    operator float() const
    {
        const unsigned sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u;
        const unsigned fraction = bits & 0x3ffu;
        if (exponent == 31)
            return float_of(sign | 0x7f800000u | fraction << 13);
        if (exponent == 0)  // subnormal: a multiple of 2**-24
            return float_of(sign | bits_of((float)fraction * 5.9604644775390625e-8f));
        return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    }

    Half &operator=(float value)
    {
        const unsigned b = bits_of(value), sign = b >> 16 & 0x8000u;
        const float size = fabsf(value);
        unsigned rounded;
        if (value != value)
            rounded = 0x7e00u;
        else if (size < 6.103515625e-5f)  // subnormal: the sum has an ulp of 2**-24, and rounds
            rounded = bits_of(size + 0.5f) - bits_of(0.5f);
        else if (size >= 65520.0f)
            rounded = 0x7c00u;
        else {
            const unsigned m = bits_of(size);
            rounded = ((m + 0xfffu + (m >> 13 & 1u)) >> 13) - (112u << 10);
        }
        bits = (unsigned short)(sign | rounded);
        return *this;
    }
#endif
};
