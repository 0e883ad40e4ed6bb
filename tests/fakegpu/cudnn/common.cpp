// The handle, refusals, recording, and how arrays are read and written.
#include "fake.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

// ------------------------------------------------------------------ version and errors

static size_t fake_version() {
    const char* given = std::getenv("FAKE_CUDNN_VERSION");
    return given ? std::strtoul(given, nullptr, 10) : 92800;
}

static thread_local std::string last_error;

int status(int of_version_9) {
    if (fake_version() >= 90000) return of_version_9;
    switch (of_version_9) {
        case NOT_INITIALIZED: return 1;
        case ALLOC_FAILED: return 2;
        case BAD_PARAM: return 3;
        case EXECUTION_FAILED: return 8;
        case NOT_SUPPORTED: return 9;
        default: return of_version_9;
    }
}

void refuse(int code, const std::string& why) { throw Refused{code, why}; }
void need(bool condition, const std::string& why) {
    if (!condition) refuse(BAD_PARAM, why);
}
void supported(bool condition, const std::string& why) {
    if (!condition) refuse(NOT_SUPPORTED, why);
}
int ended(const Refused& refused) {
    last_error = refused.why;
    return status(refused.status);
}

EXPORT size_t cudnnGetVersion() { return fake_version(); }

EXPORT const char* cudnnGetErrorString(cudnnStatus_t code) {
    if (code == status(SUCCESS)) return "CUDNN_STATUS_SUCCESS";
    if (code == status(NOT_INITIALIZED)) return "CUDNN_STATUS_NOT_INITIALIZED";
    if (code == status(BAD_PARAM)) return "CUDNN_STATUS_BAD_PARAM";
    if (code == status(NOT_SUPPORTED)) return "CUDNN_STATUS_NOT_SUPPORTED";
    if (code == status(EXECUTION_FAILED)) return "CUDNN_STATUS_EXECUTION_FAILED";
    return "CUDNN_UNKNOWN_STATUS";
}

EXPORT void cudnnGetLastErrorString(char* message, size_t max_size) {
    std::snprintf(message, max_size, "%s", last_error.c_str());
    last_error.clear();
}

// ------------------------------------------------------------------ objects

static std::set<const void*>& objects() {
    static auto* all = new std::set<const void*>;  // outlives whatever is destroyed at exit
    return *all;
}
static std::mutex guard;

void born(const void* object) {
    std::lock_guard<std::mutex> lock(guard);
    objects().insert(object);
}
void died(const void* object) {
    std::lock_guard<std::mutex> lock(guard);
    need(objects().erase(object), "this is no descriptor, or was destroyed before");
}
void alive(const void* object) {
    std::lock_guard<std::mutex> lock(guard);
    need(objects().count(object), "a handle or descriptor is none, or was destroyed");
}

EXPORT cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
    return call([&] {
        if (std::getenv("FAKE_CUDNN_NO_GPU")) refuse(NOT_INITIALIZED, "no CUDA device");
        born(*handle = new cudnnContext);
    });
}

EXPORT cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId) {
    return call([&] {
        alive(handle);
        handle->stream = streamId;
    });
}

// ------------------------------------------------------------------ for tests

EXPORT void* fake_cudnn_stream(cudnnHandle_t handle) { return handle->stream; }
EXPORT long fake_cudnn_objects() { return static_cast<long>(objects().size()); }

// The device's side. Without a driver work is done at once. With one, it is told the number of a
// piece of work, the stream it belongs to and the memory it touches, and calls fake_cudnn_run when
// its turn has come, as often as it likes, and then fake_cudnn_forget; number -1 asks it to wait for
// what it has. Anything but 0 as an answer makes the call fail; fake_cudnn_explain says why.
typedef int (*Driver)(long number, cudaStream_t stream, long count, const Area* touched);
static Driver driver = nullptr;
static std::string refusal;  // why the driver answered so
static std::map<long, std::function<void()>> works;
static long last_number = 0;

EXPORT void fake_cudnn_set_driver(Driver given) { driver = given; }
EXPORT void fake_cudnn_explain(const char* text) { refusal = text; }
EXPORT void fake_cudnn_run(long number) { works.at(number)(); }
EXPORT void fake_cudnn_forget(long number) { works.erase(number); }
EXPORT long fake_cudnn_works() { return static_cast<long>(works.size()); }

static void drive(cudnnHandle_t handle, long number, const std::vector<Area>& touched) {
    if (driver(number, handle->stream, static_cast<long>(touched.size()), touched.data()))
        refuse(EXECUTION_FAILED, refusal);
}

void launch(cudnnHandle_t handle, std::initializer_list<Area> touched, std::function<void()> work) {
    if (!driver) return work();
    std::vector<Area> areas;
    for (const Area& each : touched)
        if (each.start) areas.push_back(each);
    works[++last_number] = std::move(work);
    drive(handle, last_number, areas);
}

void synchronise(cudnnHandle_t handle) {
    if (driver) drive(handle, -1, {});
}

// ------------------------------------------------------------------ arrays

int64_t cudnnTensorStruct::count() const {
    int64_t product = 1;
    for (int64_t dim : dims) product *= dim;
    return product;
}

Ints dense(const Ints& dims, int format) {
    Ints strides(dims.size());
    int64_t step = 1;
    if (format == NHWC) strides[1] = step, step *= dims[1];
    for (size_t axis = dims.size(); axis-- > 0;) {
        if (format == NHWC && axis == 1) continue;
        strides[axis] = step;
        step *= dims[axis];
    }
    return strides;
}

Ints shape_of_channels(const Ints& dims, int64_t channels) {
    Ints shape(dims.size(), 1);
    shape[1] = channels;
    return shape;
}

Area area(const cudnnTensorStruct& tensor, const void* memory) {
    return {memory, bytes_of(tensor)};
}

int size_of(int type) { return type == FLOAT ? 4 : 2; }

size_t bytes_of(const cudnnTensorStruct& tensor) {
    int64_t last = 0;
    for (size_t i = 0; i < tensor.dims.size(); i++) last += (tensor.dims[i] - 1) * tensor.strides[i];
    return static_cast<size_t>(last + 1) * size_of(tensor.type);
}

Extents extents(const cudnnTensorStruct& tensor) {
    int64_t n = tensor.dims[0], c = tensor.dims[1];
    return {n, c, tensor.count() / (n * c)};
}

void same(const cudnnTensorStruct& a, const cudnnTensorStruct& b, const char* what) {
    need(a.type == b.type, std::string("number types differ: ") + what);
    need(a.dims == b.dims, std::string("extents differ: ") + what);
}

static float bits_to_float(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
static uint32_t float_to_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

// Round a float32's bits to the nearest with `dropped` bits less, ties to even; NaN stays NaN.
static uint32_t rounded(float value, int dropped) {
    uint32_t bits = float_to_bits(value);
    if (std::isnan(value)) return bits | 0x00400000u;
    uint32_t even = (bits >> dropped) & 1u, half = (1u << (dropped - 1)) - 1u;
    return (bits + half + even) & ~((1u << dropped) - 1u);
}

double to_tf32(double value) { return bits_to_float(rounded(static_cast<float>(value), 13)); }

static double from_half(uint16_t bits) {
    int exponent = (bits >> 10) & 31, fraction = bits & 1023;
    double size = exponent == 31  ? (fraction ? NAN : INFINITY)
                  : exponent == 0 ? std::ldexp(fraction, -24)
                                  : std::ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -size : size;
}

static uint16_t to_half(double value) {
    uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    double size = std::fabs(value);
    if (std::isnan(value)) return sign | 0x7e00;
    if (size >= 65520.0) return sign | 0x7c00;  // half a step above the largest number
    if (size == 0) return sign;
    int exponent;
    std::frexp(size, &exponent);  // size is in [2**(exponent - 1), 2**exponent)
    int step = std::max(exponent - 11, -24);  // numbers here are multiples of 2**step
    auto steps = static_cast<int>(std::nearbyint(std::ldexp(size, -step)));
    // Up to 1024 steps of 2**-24 have exponent 0; from there on each exponent holds 1024 more.
    return sign | static_cast<uint16_t>(steps + (step + 24) * 1024);
}

template <class Visit>
static void visit(const cudnnTensorStruct& tensor, Visit at) {
    size_t axes = tensor.dims.size(), last = axes - 1;
    Ints index(axes, 0);
    int64_t count = tensor.count(), row = tensor.dims[last], step = tensor.strides[last];
    for (int64_t i = 0; i < count; i += row) {
        int64_t offset = 0;
        for (size_t axis = 0; axis < last; axis++) offset += index[axis] * tensor.strides[axis];
        for (int64_t j = 0; j < row; j++) at(i + j, offset + j * step);
        for (size_t axis = last; axis-- > 0;) {
            if (++index[axis] < tensor.dims[axis]) break;
            index[axis] = 0;
        }
    }
}

static double read(int type, const void* memory, int64_t i) {
    if (type == FLOAT) return static_cast<const float*>(memory)[i];
    uint16_t bits = static_cast<const uint16_t*>(memory)[i];
    return type == HALF ? from_half(bits) : bits_to_float(static_cast<uint32_t>(bits) << 16);
}

static void write(int type, void* memory, int64_t i, double value) {
    if (type == FLOAT) {
        static_cast<float*>(memory)[i] = static_cast<float>(value);
        return;
    }
    static_cast<uint16_t*>(memory)[i] =
        type == HALF ? to_half(static_cast<float>(value))
                     : static_cast<uint16_t>(rounded(static_cast<float>(value), 16) >> 16);
}

std::vector<double> load(const cudnnTensorStruct& tensor, const void* memory) {
    std::vector<double> values(tensor.count());
    visit(tensor, [&](int64_t i, int64_t at) { values[i] = read(tensor.type, memory, at); });
    return values;
}

void store(const cudnnTensorStruct& tensor, void* memory, const std::vector<double>& values,
           double alpha, double beta) {
    visit(tensor, [&](int64_t i, int64_t at) {
        double before = beta == 0 ? 0 : beta * read(tensor.type, memory, at);
        write(tensor.type, memory, at, alpha * values[i] + before);
    });
}
