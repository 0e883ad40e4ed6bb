// What the parts of the fake cuDNN share: its types, how arrays are read, how calls end.
//
// The names of types and functions are cuDNN's, so that programs link as they do with the real one.
// "Device memory" is the host's, and every operation is done by plain loops over doubles.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

typedef int cudnnStatus_t;
typedef int cudnnDataType_t, cudnnTensorFormat_t, cudnnNanPropagation_t, cudnnMathType_t;
typedef int cudnnConvolutionMode_t, cudnnPoolingMode_t, cudnnActivationMode_t, cudnnLRNMode_t;
typedef int cudnnSoftmaxAlgorithm_t, cudnnSoftmaxMode_t, cudnnBatchNormMode_t, cudnnDeterminism_t;
typedef int cudnnConvolutionFwdAlgo_t, cudnnConvolutionBwdDataAlgo_t;
typedef int cudnnConvolutionBwdFilterAlgo_t;
typedef void* cudaStream_t;

enum { FLOAT = 0, HALF = 2, BFLOAT16 = 9 };
enum { NCHW = 0, NHWC = 1 };

typedef std::vector<int64_t> Ints;

// An array as its descriptor has it: element i, j, ... is at offset i * strides[0] + ...
struct cudnnTensorStruct {
    int type = FLOAT;
    Ints dims, strides;
    int64_t count() const;
};
struct cudnnFilterStruct : cudnnTensorStruct {
    int format = NCHW;
};
struct cudnnConvolutionStruct {
    Ints pad, stride, dilation;
    int groups = 1, math = 0, mode = 1;
};
struct cudnnPoolingStruct {
    int mode = 0, nan = 0;
    Ints window, pad, stride;
};
struct cudnnLRNStruct {
    unsigned n = 5;
    double alpha = 1e-4, beta = 0.75, k = 2.0;
};
struct cudnnActivationStruct {
    int mode = 1, nan = 0;
    double coef = 0;
};
struct cudnnContext {
    cudaStream_t stream = nullptr;
};
typedef cudnnContext* cudnnHandle_t;
typedef cudnnTensorStruct* cudnnTensorDescriptor_t;
typedef cudnnFilterStruct* cudnnFilterDescriptor_t;
typedef cudnnConvolutionStruct* cudnnConvolutionDescriptor_t;
typedef cudnnPoolingStruct* cudnnPoolingDescriptor_t;
typedef cudnnLRNStruct* cudnnLRNDescriptor_t;
typedef cudnnActivationStruct* cudnnActivationDescriptor_t;

struct Perf {
    int algo, status;
    float time;
    size_t memory;
    int determinism, mathType, reserved[3];
};
typedef Perf cudnnConvolutionFwdAlgoPerf_t, cudnnConvolutionBwdDataAlgoPerf_t;
typedef Perf cudnnConvolutionBwdFilterAlgoPerf_t;

// ------------------------------------------------------------------ how a call ends

// Numbers of version 9; `status` turns them into those of version 8 where the fake is one.
enum {
    SUCCESS = 0,
    NOT_INITIALIZED = 1001,
    BAD_PARAM = 2000,
    NOT_SUPPORTED = 3000,
    ALLOC_FAILED = 4003,
    EXECUTION_FAILED = 5000,
};
struct Refused {
    int status;
    std::string why;
};
[[noreturn]] void refuse(int status, const std::string& why);
void need(bool condition, const std::string& why);       // otherwise BAD_PARAM
void supported(bool condition, const std::string& why);  // otherwise NOT_SUPPORTED
int status(int of_version_9);
int ended(const Refused& refused);  // notes why, returns the status

// The body of an exported function: what it refuses becomes its status.
template <class Body>
int call(Body body) {
    try {
        body();
        return SUCCESS;
    } catch (const Refused& refused) {
        return ended(refused);
    }
}

// Descriptors and handles that exist; a call with another one is refused.
void born(const void* object);
void died(const void* object);
void alive(const void* object);
template <class... Objects>
void alive(const void* first, Objects... rest) {
    alive(first);
    alive(rest...);
}

// Memory that the work of a call reads or writes; a start of NULL counts for none.
struct Area {
    const void* start;
    size_t bytes;
};
Area area(const cudnnTensorStruct& tensor, const void* memory);

// Do the work of a call, now, or when the fake device gets to it (see __init__.py).
void launch(cudnnHandle_t handle, std::initializer_list<Area> touched, std::function<void()> work);
// Wait until the device has done all that it was given.
void synchronise(cudnnHandle_t handle);

// ------------------------------------------------------------------ arrays

Ints dense(const Ints& dims, int format);
Ints shape_of_channels(const Ints& dims, int64_t channels);  // 1 C 1 1
size_t bytes_of(const cudnnTensorStruct& tensor);            // from the first to the last element
int size_of(int type);

// All elements in the order N, C, spatial axes; and the way back, alpha * values + beta * memory.
// With beta 0 the memory is not read.
std::vector<double> load(const cudnnTensorStruct& tensor, const void* memory);
void store(const cudnnTensorStruct& tensor, void* memory, const std::vector<double>& values,
           double alpha = 1, double beta = 0);
double to_tf32(double value);

inline double factor(const void* host) { return *static_cast<const float*>(host); }

// The same extents, and (or) the same number type; otherwise BAD_PARAM.
void same(const cudnnTensorStruct& a, const cudnnTensorStruct& b, const char* what);

// N, C and the elements behind each channel.
struct Extents {
    int64_t n, c, inner;
};
Extents extents(const cudnnTensorStruct& tensor);
