// Activations, softmax, and sums of whole arrays.
#include "fake.h"

#include <algorithm>
#include <cmath>

// ------------------------------------------------------------------ activations

enum { SIGMOID = 0, RELU = 1, TANH = 2, IDENTITY = 5 };

static void known(const cudnnActivationStruct& f) {
    supported(f.mode == SIGMOID || f.mode == RELU || f.mode == TANH, "the fake has no such function");
}

static double activated(const cudnnActivationStruct& f, double x) {
    switch (f.mode) {
        case SIGMOID: return 1 / (1 + std::exp(-x));
        case TANH: return std::tanh(x);
        default: return x > 0 || (f.nan && std::isnan(x)) ? x : 0;
    }
}

// Each by what it is cheapest to have it from: relu from x, the others from y.
static double slope(const cudnnActivationStruct& f, double x, double y) {
    switch (f.mode) {
        case SIGMOID: return y * (1 - y);
        case TANH: return 1 - y * y;
        default: return x > 0 ? 1 : 0;
    }
}

EXPORT cudnnStatus_t cudnnActivationForward(cudnnHandle_t handle,
                                            cudnnActivationDescriptor_t activationDesc,
                                            const void* alpha,
                                            const cudnnTensorDescriptor_t xDesc, const void* x,
                                            const void* beta,
                                            const cudnnTensorDescriptor_t yDesc, void* y) {
    return call([&] {
        alive(handle, activationDesc, xDesc, yDesc);
        need(x && y, "an array is NULL");
        cudnnActivationStruct f = *activationDesc;
        cudnnTensorStruct in = *xDesc, out = *yDesc;
        known(f);
        same(in, out, "x and y");
        need(x != y || in.strides == out.strides, "in place, with different strides");
        double a = factor(alpha), b = factor(beta);
        launch(handle, {area(in, x), area(out, y)}, [=] {
            std::vector<double> values = load(in, x);
            for (double& value : values) value = activated(f, value);
            store(out, y, values, a, b);
        });
    });
}

EXPORT cudnnStatus_t cudnnActivationBackward(
    cudnnHandle_t handle, cudnnActivationDescriptor_t activationDesc, const void* alpha,
    const cudnnTensorDescriptor_t yDesc, const void* y, const cudnnTensorDescriptor_t dyDesc,
    const void* dy, const cudnnTensorDescriptor_t xDesc, const void* x, const void* beta,
    const cudnnTensorDescriptor_t dxDesc, void* dx) {
    return call([&] {
        alive(handle, activationDesc, xDesc, yDesc, dxDesc, dyDesc);
        need(x && y && dx && dy, "an array is NULL");
        cudnnActivationStruct f = *activationDesc;
        cudnnTensorStruct in = *xDesc, out = *yDesc, given = *dyDesc, wanted = *dxDesc;
        known(f);
        same(in, out, "x and y");
        same(in, given, "x and dy");
        same(in, wanted, "x and dx");
        supported(given.strides == wanted.strides, "strides of dy and dx differ");
        double a = factor(alpha), b = factor(beta);
        auto all = {area(in, x), area(out, y), area(given, dy), area(wanted, dx)};
        launch(handle, all, [=] {
            std::vector<double> xs = load(in, x), ys = load(out, y), dys = load(given, dy);
            for (size_t i = 0; i < dys.size(); i++) dys[i] *= slope(f, xs[i], ys[i]);
            store(wanted, dx, dys, a, b);
        });
    });
}

// ------------------------------------------------------------------ softmax

enum { INSTANCE = 0, CHANNEL = 1, LOG = 2 };

// visit(first, step, count): each row of elements that a softmax is taken over.
template <class Visit>
static void softmax_rows(const cudnnTensorStruct& x, int mode, Visit visit) {
    Extents e = extents(x);
    for (int64_t n = 0; n < e.n; n++) {
        int64_t first = n * e.c * e.inner;
        if (mode == INSTANCE) visit(first, 1, e.c * e.inner);
        else
            for (int64_t i = 0; i < e.inner; i++) visit(first + i, e.inner, e.c);
    }
}

EXPORT cudnnStatus_t cudnnSoftmaxForward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algo,
                                         cudnnSoftmaxMode_t mode, const void* alpha,
                                         const cudnnTensorDescriptor_t xDesc, const void* x,
                                         const void* beta, const cudnnTensorDescriptor_t yDesc,
                                         void* y) {
    return call([&] {
        alive(handle, xDesc, yDesc);
        need(x && y && algo >= 0 && algo <= 2 && (mode == INSTANCE || mode == CHANNEL), "mode");
        cudnnTensorStruct in = *xDesc, out = *yDesc;
        supported(in.dims.size() == 4 || in.dims.size() == 5, "four or five axes");
        same(in, out, "x and y");
        double a = factor(alpha), b = factor(beta);
        launch(handle, {area(in, x), area(out, y)}, [=] {
            std::vector<double> v = load(in, x);
            softmax_rows(in, mode, [&](int64_t first, int64_t step, int64_t count) {
                double top = v[first], sum = 0;
                for (int64_t j = 0; j < count; j++) top = std::max(top, v[first + j * step]);
                for (int64_t j = 0; j < count; j++) sum += std::exp(v[first + j * step] - top);
                for (int64_t j = 0; j < count; j++) {
                    double& value = v[first + j * step];
                    double log = value - top - std::log(sum);
                    value = algo == LOG ? log : std::exp(log);
                }
            });
            store(out, y, v, a, b);
        });
    });
}

EXPORT cudnnStatus_t cudnnSoftmaxBackward(
    cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algo, cudnnSoftmaxMode_t mode,
    const void* alpha, const cudnnTensorDescriptor_t yDesc, const void* y,
    const cudnnTensorDescriptor_t dyDesc, const void* dy, const void* beta,
    const cudnnTensorDescriptor_t dxDesc, void* dx) {
    return call([&] {
        alive(handle, yDesc, dyDesc, dxDesc);
        need(y && dy && dx && algo >= 0 && algo <= 2 && (mode == INSTANCE || mode == CHANNEL),
             "mode");
        cudnnTensorStruct out = *yDesc, given = *dyDesc, wanted = *dxDesc;
        same(out, given, "y and dy");
        same(out, wanted, "y and dx");
        double a = factor(alpha), b = factor(beta);
        launch(handle, {area(out, y), area(given, dy), area(wanted, dx)}, [=] {
            std::vector<double> ys = load(out, y), dys = load(given, dy);
            softmax_rows(out, mode, [&](int64_t first, int64_t step, int64_t count) {
                double sum = 0;
                for (int64_t j = first; j < first + count * step; j += step)
                    sum += algo == LOG ? dys[j] : dys[j] * ys[j];
                for (int64_t j = first; j < first + count * step; j += step)
                    dys[j] = algo == LOG ? dys[j] - std::exp(ys[j]) * sum : ys[j] * (dys[j] - sum);
            });
            store(wanted, dx, dys, a, b);
        });
    });
}

// ------------------------------------------------------------------ whole arrays

// C = alpha * A + beta * C, where an axis of A that has extent 1 counts for all of C's.
EXPORT cudnnStatus_t cudnnAddTensor(cudnnHandle_t handle, const void* alpha,
                                    const cudnnTensorDescriptor_t aDesc, const void* A,
                                    const void* beta, const cudnnTensorDescriptor_t cDesc,
                                    void* C) {
    return call([&] {
        alive(handle, aDesc, cDesc);
        need(A && C, "an array is NULL");
        cudnnTensorStruct from = *aDesc, to = *cDesc;
        need(from.dims.size() == to.dims.size(), "numbers of axes differ");
        supported(to.dims.size() <= 5, "more than 5 axes");
        supported(from.type == to.type, "number types differ");
        for (size_t axis = 0; axis < to.dims.size(); axis++) {
            need(from.dims[axis] == 1 || from.dims[axis] == to.dims[axis], "extents differ");
            if (from.dims[axis] == 1) from.strides[axis] = 0;
        }
        from.dims = to.dims;
        double a = factor(alpha), b = factor(beta);
        Area read = area(*aDesc, A);
        launch(handle, {read, area(to, C)}, [=] { store(to, C, load(from, A), a, b); });
    });
}
