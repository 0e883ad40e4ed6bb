// Local response normalisation across channels, by the definition.
#include "fake.h"

#include <cmath>

// visit(i, j): every element with each of those around it, itself among them, in its window of n
// channels. Of an even window, one more lies behind than before.
template <class Visit>
static void neighbours(const cudnnTensorStruct& x, unsigned n, Visit visit) {
    Extents e = extents(x);
    int64_t before = (n - 1) / 2, behind = n - before - 1;
    for (int64_t image = 0; image < e.n; image++)
        for (int64_t c = 0; c < e.c; c++)
            for (int64_t d = c - before; d <= c + behind; d++) {
                if (d < 0 || d >= e.c) continue;
                int64_t i = (image * e.c + c) * e.inner, j = (image * e.c + d) * e.inner;
                for (int64_t at = 0; at < e.inner; at++) visit(i + at, j + at);
            }
}

// s = k + alpha / n * (sum of x**2 over the window)
static std::vector<double> scales(const cudnnLRNStruct& lrn, const cudnnTensorStruct& x,
                                  const std::vector<double>& xs) {
    std::vector<double> s(xs.size(), lrn.k);
    neighbours(x, lrn.n, [&](int64_t i, int64_t j) { s[i] += lrn.alpha / lrn.n * xs[j] * xs[j]; });
    return s;
}

EXPORT cudnnStatus_t cudnnLRNCrossChannelForward(cudnnHandle_t handle,
                                                 cudnnLRNDescriptor_t normDesc,
                                                 cudnnLRNMode_t lrnMode, const void* alpha,
                                                 const cudnnTensorDescriptor_t xDesc,
                                                 const void* x, const void* beta,
                                                 const cudnnTensorDescriptor_t yDesc, void* y) {
    return call([&] {
        alive(handle, normDesc, xDesc, yDesc);
        need(lrnMode == 0 && x && y, "no such mode, or an array is NULL");
        cudnnLRNStruct lrn = *normDesc;
        cudnnTensorStruct in = *xDesc, out = *yDesc;
        supported(in.dims.size() == 4 || in.dims.size() == 5, "two or three spatial axes");
        same(in, out, "x and y");
        double a = factor(alpha), b = factor(beta);
        launch(handle, {area(in, x), area(out, y)}, [=] {
            std::vector<double> xs = load(in, x), s = scales(lrn, in, xs);
            for (size_t i = 0; i < xs.size(); i++) xs[i] *= std::pow(s[i], -lrn.beta);
            store(out, y, xs, a, b);
        });
    });
}

// dx = dy * s**-beta - 2 * alpha / n * beta * x * (sum of dy * y / s over the window)
EXPORT cudnnStatus_t cudnnLRNCrossChannelBackward(
    cudnnHandle_t handle, cudnnLRNDescriptor_t normDesc, cudnnLRNMode_t lrnMode,
    const void* alpha, const cudnnTensorDescriptor_t yDesc, const void* y,
    const cudnnTensorDescriptor_t dyDesc, const void* dy, const cudnnTensorDescriptor_t xDesc,
    const void* x, const void* beta, const cudnnTensorDescriptor_t dxDesc, void* dx) {
    return call([&] {
        alive(handle, normDesc, xDesc, yDesc, dxDesc, dyDesc);
        need(lrnMode == 0 && x && y && dx && dy, "no such mode, or an array is NULL");
        cudnnLRNStruct lrn = *normDesc;
        cudnnTensorStruct in = *xDesc, out = *yDesc, given = *dyDesc, wanted = *dxDesc;
        same(in, out, "x and y");
        same(in, given, "x and dy");
        same(in, wanted, "x and dx");
        double a = factor(alpha), b = factor(beta);
        auto all = {area(in, x), area(out, y), area(given, dy), area(wanted, dx)};
        launch(handle, all, [=] {
            std::vector<double> xs = load(in, x), ys = load(out, y), dys = load(given, dy);
            std::vector<double> s = scales(lrn, in, xs), dxs(xs.size());
            double share = 2 * lrn.alpha / lrn.n * lrn.beta;
            // j is in the window of i: the top's element i depends on the bottom's element j.
            neighbours(in, lrn.n, [&](int64_t i, int64_t j) {
                dxs[j] -= share * xs[j] * dys[i] * ys[i] / s[i];
            });
            for (size_t i = 0; i < xs.size(); i++) dxs[i] += dys[i] * std::pow(s[i], -lrn.beta);
            store(wanted, dx, dxs, a, b);
        });
    });
}
