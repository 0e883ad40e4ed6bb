// NumPy's random numbers: the words of numpy.random.Philox(key=[low, high], counter=[0, 0, 0, pass])
// (Philox4x64-10; Salmon et al. 2011). Each block of four words is worked out from its number alone.

#include "kernels.cuh"

typedef unsigned long long Word;

struct Block {
    Word word[4];
};

DEVICE Word high_half(Word a, Word b)
{
#ifdef __CUDACC__
    return __umul64hi(a, b);
#else
    return (Word)((unsigned __int128)a * b >> 64);
#endif
}

// Words 4 * number ... 4 * number + 3 of the stream: NumPy counts up before it draws a block.
DEVICE Block philox(Word number, Word pass, Word low, Word high)
{
    Block b = {{number + 1, 0, 0, pass}};
    for (int round = 0; round < 10; ++round) {
        const Word first = 0xD2E7470EE14C6C93ull, second = 0xCA5A826395121157ull;
        const Block was = b;
        b.word[0] = high_half(second, was.word[2]) ^ was.word[1] ^ low;
        b.word[1] = second * was.word[2];
        b.word[2] = high_half(first, was.word[0]) ^ was.word[3] ^ high;
        b.word[3] = first * was.word[0];
        low += 0x9E3779B97F4A7C15ull;
        high += 0xBB67AE8584CAA73Bull;
    }
    return b;
}
