// The three passes of a convolution and its bias, by the definition.
#include "convolution.h"

#include <algorithm>
#include <cstring>

static void spread(const Ints& from, size_t skip, int64_t* to, int64_t fill) {
    std::fill(to, to + 3, fill);
    std::copy(from.begin() + skip, from.end(), to + 3 - (from.size() - skip));
}

Problem::Problem(cudnnTensorDescriptor_t xDesc, cudnnFilterDescriptor_t wDesc,
                 cudnnConvolutionDescriptor_t convDesc, cudnnTensorDescriptor_t yDesc) {
    alive(xDesc, wDesc, convDesc, yDesc);
    x = *xDesc, w = *wDesc, y = *yDesc;
    groups = convDesc->groups, math = convDesc->math;
    size_t rank = x.dims.size();
    axes = static_cast<int>(rank) - 2;
    need(rank == w.dims.size() && rank == y.dims.size(), "numbers of axes differ");
    need(convDesc->pad.size() == rank - 2, "the convolution has another number of axes");
    supported(rank == 4 || rank == 5, "two or three spatial axes");
    supported(convDesc->mode == 1, "the fake has cross-correlations only");
    supported(x.type == w.type && x.type == y.type, "number types of x, w and y differ");
    need(x.dims[0] == y.dims[0], "numbers of images differ");
    need(x.dims[1] == w.dims[1] * groups, "channels are not groups times the filters' inputs");
    need(y.dims[1] == w.dims[0] && w.dims[0] % groups == 0, "filters do not fit top or groups");
    if (w.format == NHWC)
        supported(x.strides == dense(x.dims, NHWC) && y.strides == dense(y.dims, NHWC),
                  "N H W C filters need N H W C arrays");
    spread(x.dims, 2, in, 1);
    spread(y.dims, 2, out, 1);
    spread(w.dims, 2, kernel, 1);
    spread(convDesc->pad, 0, pad, 0);
    spread(convDesc->stride, 0, stride, 1);
    spread(convDesc->dilation, 0, dilation, 1);
    for (int axis = 0; axis < 3; axis++) {
        int64_t free = in[axis] + 2 * pad[axis] - (dilation[axis] * (kernel[axis] - 1) + 1);
        need(free >= 0 && out[axis] == free / stride[axis] + 1, "the top has other extents");
    }
}

bool Problem::plain() const {
    return x.strides == dense(x.dims, NCHW) && y.strides == dense(y.dims, NCHW) &&
           w.format == NCHW;
}

// ------------------------------------------------------------------ the definition

// Everything that is multiplied: for runs along the last axis of y, where x, w and y stand.
// row(x, w, y, count): element j of the run multiplies x[x + j * stride] by w[w] for y[y + j].
template <class Row>
static void rows(const Problem& p, Row row) {
    int64_t inputs = p.w.dims[1], outputs = p.w.dims[0] / p.groups;
    for (int64_t n = 0; n < p.x.dims[0]; n++)
        for (int64_t k = 0; k < p.w.dims[0]; k++)
            for (int64_t c = 0; c < inputs; c++)
                for (int64_t r0 = 0; r0 < p.kernel[0]; r0++)
                    for (int64_t r1 = 0; r1 < p.kernel[1]; r1++)
                        for (int64_t r2 = 0; r2 < p.kernel[2]; r2++) {
                            int64_t w = ((k * inputs + c) * p.kernel[0] + r0) * p.kernel[1] + r1;
                            w = w * p.kernel[2] + r2;
                            int64_t first = r2 * p.dilation[2] - p.pad[2], s = p.stride[2];
                            int64_t from = first < 0 ? (-first + s - 1) / s : 0;
                            int64_t free = p.in[2] - 1 - first;
                            int64_t to = free < 0 ? 0 : std::min(p.out[2], free / s + 1);
                            if (to <= from) continue;
                            for (int64_t o0 = 0; o0 < p.out[0]; o0++)
                                for (int64_t o1 = 0; o1 < p.out[1]; o1++) {
                                    int64_t i0 = o0 * p.stride[0] - p.pad[0] + r0 * p.dilation[0];
                                    int64_t i1 = o1 * p.stride[1] - p.pad[1] + r1 * p.dilation[1];
                                    if (i0 < 0 || i0 >= p.in[0] || i1 < 0 || i1 >= p.in[1])
                                        continue;
                                    int64_t image = n * p.x.dims[1] + k / outputs * inputs + c;
                                    int64_t x = ((image * p.in[0] + i0) * p.in[1] + i1) * p.in[2];
                                    int64_t y = (n * p.y.dims[1] + k) * p.out[0] + o0;
                                    y = (y * p.out[1] + o1) * p.out[2];
                                    row(x + first + from * s, w, y + from, to - from);
                                }
                        }
}

// Factors as this math type takes them: without FMA_MATH, float numbers go in as TF32.
static std::vector<double> factors(const Problem& p, const cudnnTensorStruct& tensor,
                                   const void* memory) {
    std::vector<double> values = load(tensor, memory);
    if (tensor.type == FLOAT && p.math != 3)
        for (double& value : values) value = to_tf32(value);
    return values;
}

static std::vector<double> forward(const Problem& p, const void* x, const void* w) {
    std::vector<double> xs = factors(p, p.x, x), ws = factors(p, p.w, w), ys(p.y.count());
    int64_t s = p.stride[2];
    rows(p, [&](int64_t i, int64_t k, int64_t o, int64_t count) {
        for (int64_t j = 0; j < count; j++) ys[o + j] += ws[k] * xs[i + j * s];
    });
    return ys;
}

static std::vector<double> backward_data(const Problem& p, const void* w, const void* dy) {
    std::vector<double> ws = factors(p, p.w, w), dys = factors(p, p.y, dy), dxs(p.x.count());
    int64_t s = p.stride[2];
    rows(p, [&](int64_t i, int64_t k, int64_t o, int64_t count) {
        for (int64_t j = 0; j < count; j++) dxs[i + j * s] += ws[k] * dys[o + j];
    });
    return dxs;
}

static std::vector<double> backward_filter(const Problem& p, const void* x, const void* dy) {
    std::vector<double> xs = factors(p, p.x, x), dys = factors(p, p.y, dy), dws(p.w.count());
    int64_t s = p.stride[2];
    rows(p, [&](int64_t i, int64_t k, int64_t o, int64_t count) {
        double sum = 0;
        for (int64_t j = 0; j < count; j++) sum += xs[i + j * s] * dys[o + j];
        dws[k] += sum;
    });
    return dws;
}

// ------------------------------------------------------------------ calls

static void apart(const Area& written, std::initializer_list<Area> others) {
    auto a = static_cast<const char*>(written.start);
    for (const Area& other : others) {
        auto b = static_cast<const char*>(other.start);
        need(a + written.bytes <= b || b + other.bytes <= a, "arrays or workspace overlap");
    }
}

// What all passes check; `output` is written, the workspace is left full of NaN.
static void check(Pass pass, int algo, const Problem& p, void* scratch, size_t room,
                  const Area& output, const Area& a, const Area& b) {
    need(output.start && a.start && b.start, "an array is NULL");
    std::string why = declined(pass, algo, p);
    supported(why.empty(), why);
    size_t needed = workspace(pass, algo, p);
    need(room >= needed && (scratch || !needed), "the workspace is too small, or NULL");
    apart(output, {a, b});
    if (scratch && room) apart({scratch, room}, {output, a, b});
}

static void spoil(void* scratch, size_t room) {
    if (scratch) std::memset(scratch, 0xff, room);
}

EXPORT cudnnStatus_t cudnnConvolutionForward(
    cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t xDesc, const void* x,
    const cudnnFilterDescriptor_t wDesc, const void* w,
    const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionFwdAlgo_t algo, void* workSpace,
    size_t workSpaceSizeInBytes, const void* beta, const cudnnTensorDescriptor_t yDesc, void* y) {
    return call([&] {
        alive(handle);
        Problem p(xDesc, wDesc, convDesc, yDesc);
        check(FORWARD, algo, p, workSpace, workSpaceSizeInBytes, area(p.y, y), area(p.x, x),
              area(p.w, w));
        double a = factor(alpha), b = factor(beta);
        Area room = {workSpace, workSpaceSizeInBytes};
        launch(handle, {area(p.y, y), area(p.x, x), area(p.w, w), room}, [=] {
            spoil(workSpace, workSpaceSizeInBytes);
            store(p.y, y, forward(p, x, w), a, b);
        });
    });
}

EXPORT cudnnStatus_t cudnnConvolutionBackwardData(
    cudnnHandle_t handle, const void* alpha, const cudnnFilterDescriptor_t wDesc, const void* w,
    const cudnnTensorDescriptor_t dyDesc, const void* dy,
    const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionBwdDataAlgo_t algo,
    void* workSpace, size_t workSpaceSizeInBytes, const void* beta,
    const cudnnTensorDescriptor_t dxDesc, void* dx) {
    return call([&] {
        alive(handle);
        Problem p(dxDesc, wDesc, convDesc, dyDesc);
        check(DATA, algo, p, workSpace, workSpaceSizeInBytes, area(p.x, dx), area(p.w, w),
              area(p.y, dy));
        double a = factor(alpha), b = factor(beta);
        Area room = {workSpace, workSpaceSizeInBytes};
        launch(handle, {area(p.x, dx), area(p.w, w), area(p.y, dy), room}, [=] {
            spoil(workSpace, workSpaceSizeInBytes);
            store(p.x, dx, backward_data(p, w, dy), a, b);
        });
    });
}

EXPORT cudnnStatus_t cudnnConvolutionBackwardFilter(
    cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t xDesc, const void* x,
    const cudnnTensorDescriptor_t dyDesc, const void* dy,
    const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionBwdFilterAlgo_t algo,
    void* workSpace, size_t workSpaceSizeInBytes, const void* beta,
    const cudnnFilterDescriptor_t dwDesc, void* dw) {
    return call([&] {
        alive(handle);
        Problem p(xDesc, dwDesc, convDesc, dyDesc);
        check(FILTER, algo, p, workSpace, workSpaceSizeInBytes, area(p.w, dw), area(p.x, x),
              area(p.y, dy));
        double a = factor(alpha), b = factor(beta);
        Area room = {workSpace, workSpaceSizeInBytes};
        launch(handle, {area(p.w, dw), area(p.x, x), area(p.y, dy), room}, [=] {
            spoil(workSpace, workSpaceSizeInBytes);
            store(p.w, dw, backward_filter(p, x, dy), a, b);
        });
    });
}

static void is_bias(const cudnnTensorStruct& bias, const cudnnTensorStruct& y) {
    need(bias.type == y.type, "bias and top are of different number types");
    need(bias.dims == shape_of_channels(y.dims, y.dims[1]), "the bias is not 1 C 1 1");
    supported(bias.strides[1] == 1, "the bias has gaps");
}

EXPORT cudnnStatus_t cudnnConvolutionBackwardBias(
    cudnnHandle_t handle, const void* alpha, const cudnnTensorDescriptor_t dyDesc, const void* dy,
    const void* beta, const cudnnTensorDescriptor_t dbDesc, void* db) {
    return call([&] {
        alive(handle, dyDesc, dbDesc);
        need(dy && db, "an array is NULL");
        cudnnTensorStruct y = *dyDesc, bias = *dbDesc;
        is_bias(bias, y);
        double a = factor(alpha), b = factor(beta);
        launch(handle, {area(y, dy), area(bias, db)}, [=] {
            std::vector<double> dys = load(y, dy), sums(y.dims[1]);
            int64_t inner = extents(y).inner;
            for (size_t i = 0; i < dys.size(); i++) sums[i / inner % sums.size()] += dys[i];
            store(bias, db, sums, a, b);
        });
    });
}

// y = activation(alpha1 * convolution + alpha2 * z + bias); z may be y itself.
EXPORT cudnnStatus_t cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void* alpha1, const cudnnTensorDescriptor_t xDesc, const void* x,
    const cudnnFilterDescriptor_t wDesc, const void* w,
    const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionFwdAlgo_t algo, void* workSpace,
    size_t workSpaceSizeInBytes, const void* alpha2, const cudnnTensorDescriptor_t zDesc,
    const void* z, const cudnnTensorDescriptor_t biasDesc, const void* bias,
    const cudnnActivationDescriptor_t activationDesc, const cudnnTensorDescriptor_t yDesc,
    void* y) {
    return call([&] {
        alive(handle, biasDesc, activationDesc, zDesc);
        Problem p(xDesc, wDesc, convDesc, yDesc);
        check(FORWARD, algo, p, workSpace, workSpaceSizeInBytes, area(p.y, y), area(p.x, x),
              area(p.w, w));
        cudnnTensorStruct shift = *biasDesc, residual = *zDesc;
        is_bias(shift, p.y);
        same(residual, p.y, "z and y");
        need(bias && z, "an array is NULL");
        bool relu = activationDesc->mode == 1, identity = activationDesc->mode == 5;
        supported(relu || (identity && algo == 1),
                  "relu only; or no activation, with implicit_precomp_gemm");
        supported(activationDesc->nan == 0, "here NaN is not propagated");
        double a = factor(alpha1), b = factor(alpha2);
        std::initializer_list<Area> all = {area(p.y, y),        area(p.x, x),
                                           area(p.w, w),        area(shift, bias),
                                           area(residual, z),   {workSpace, workSpaceSizeInBytes}};
        launch(handle, all, [=] {
            std::vector<double> before = b == 0 ? std::vector<double>(p.y.count()) : load(residual, z);
            spoil(workSpace, workSpaceSizeInBytes);
            std::vector<double> ys = forward(p, x, w), shifts = load(shift, bias);
            int64_t inner = extents(p.y).inner;
            for (size_t i = 0; i < ys.size(); i++) {
                ys[i] = a * ys[i] + b * before[i] + shifts[i / inner % shifts.size()];
                if (relu) ys[i] = ys[i] > 0 ? ys[i] : 0;
            }
            store(p.y, y, ys);
        });
    });
}
