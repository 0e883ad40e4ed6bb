// Pooling over two or three spatial axes, by the definition.
//
// Where several elements of a window are its maximum, cuDNN's documentation does not say which of
// them gets the gradient. The fake gives it to the last, which Caffe never does, so that nothing
// rests on luck.
#include "fake.h"

#include <algorithm>
#include <cmath>

enum { MAX = 0, AVERAGE_ALL = 1, AVERAGE_INSIDE = 2, MAX_DETERMINISTIC = 3 };

struct Windows {
    cudnnPoolingStruct pooling;
    cudnnTensorStruct x, y;
    int64_t in[3], out[3], window[3], pad[3], stride[3];

    Windows(cudnnPoolingDescriptor_t poolingDesc, cudnnTensorDescriptor_t xDesc,
            cudnnTensorDescriptor_t yDesc) {
        alive(poolingDesc, xDesc, yDesc);
        pooling = *poolingDesc, x = *xDesc, y = *yDesc;
        size_t rank = x.dims.size(), axes = pooling.window.size();
        supported(rank == 4 || rank == 5, "two or three spatial axes");
        need(rank == axes + 2 && rank == y.dims.size(), "numbers of axes differ");
        need(x.type == y.type, "number types differ");
        need(x.dims[0] == y.dims[0] && x.dims[1] == y.dims[1], "images or channels differ");
        for (size_t i = 0; i < 3; i++) {
            bool absent = i < 3 - axes;
            size_t axis = i - (3 - axes);
            in[i] = absent ? 1 : x.dims[axis + 2];
            out[i] = absent ? 1 : y.dims[axis + 2];
            window[i] = absent ? 1 : pooling.window[axis];
            pad[i] = absent ? 0 : pooling.pad[axis];
            stride[i] = absent ? 1 : pooling.stride[axis];
            int64_t free = in[i] + 2 * pad[i] - window[i];
            need(pad[i] >= 0 && pad[i] < window[i], "the padding is as wide as the window");
            need(free >= 0 && out[i] == free / stride[i] + 1, "the top has other extents");
        }
    }

    // visit(top, bottom): every element of the top with every one of the bottom in its window.
    template <class Visit>
    void each(Visit visit) const {
        int64_t images = x.dims[0] * x.dims[1], o = 0;
        for (int64_t image = 0; image < images; image++)
            for (int64_t o0 = 0; o0 < out[0]; o0++)
                for (int64_t o1 = 0; o1 < out[1]; o1++)
                    for (int64_t o2 = 0; o2 < out[2]; o2++, o++) {
                        const int64_t at[3] = {o0, o1, o2};
                        int64_t from[3], to[3];
                        for (int axis = 0; axis < 3; axis++) {
                            int64_t start = at[axis] * stride[axis] - pad[axis];
                            from[axis] = std::max<int64_t>(start, 0);
                            to[axis] = std::min(start + window[axis], in[axis]);
                        }
                        for (int64_t i0 = from[0]; i0 < to[0]; i0++)
                            for (int64_t i1 = from[1]; i1 < to[1]; i1++)
                                for (int64_t i2 = from[2]; i2 < to[2]; i2++)
                                    visit(o, ((image * in[0] + i0) * in[1] + i1) * in[2] + i2);
                    }
    }

    bool largest() const { return pooling.mode == MAX || pooling.mode == MAX_DETERMINISTIC; }

    // What each window's sum is divided by.
    std::vector<double> sizes() const {
        double whole = static_cast<double>(window[0] * window[1] * window[2]);
        std::vector<double> sizes(y.count(), pooling.mode == AVERAGE_ALL ? whole : 0);
        if (pooling.mode == AVERAGE_INSIDE) each([&](int64_t o, int64_t) { sizes[o] += 1; });
        return sizes;
    }

    // Which element of the bottom is the largest of each window; NaN is, if it is propagated.
    std::vector<int64_t> places(const std::vector<double>& xs) const {
        std::vector<int64_t> best(y.count(), -1);
        each([&](int64_t o, int64_t i) {
            bool nan = std::isnan(xs[i]);
            bool first = best[o] < 0 || (!pooling.nan && std::isnan(xs[best[o]]));
            if (first || (nan && pooling.nan) || xs[i] >= xs[best[o]]) best[o] = i;
        });
        return best;
    }
};

EXPORT cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle,
                                         const cudnnPoolingDescriptor_t poolingDesc,
                                         const void* alpha, const cudnnTensorDescriptor_t xDesc,
                                         const void* x, const void* beta,
                                         const cudnnTensorDescriptor_t yDesc, void* y) {
    return call([&] {
        alive(handle);
        Windows p(poolingDesc, xDesc, yDesc);
        need(x && y, "an array is NULL");
        double a = factor(alpha), b = factor(beta);
        launch(handle, {area(p.x, x), area(p.y, y)}, [=] {
            std::vector<double> xs = load(p.x, x), ys(p.y.count());
            if (p.largest()) {
                std::vector<int64_t> best = p.places(xs);
                for (size_t o = 0; o < ys.size(); o++) ys[o] = xs[best[o]];
            } else {
                std::vector<double> sizes = p.sizes();
                p.each([&](int64_t o, int64_t i) { ys[o] += xs[i] / sizes[o]; });
            }
            store(p.y, y, ys, a, b);
        });
    });
}

EXPORT cudnnStatus_t cudnnPoolingBackward(
    cudnnHandle_t handle, const cudnnPoolingDescriptor_t poolingDesc, const void* alpha,
    const cudnnTensorDescriptor_t yDesc, const void* y, const cudnnTensorDescriptor_t dyDesc,
    const void* dy, const cudnnTensorDescriptor_t xDesc, const void* x, const void* beta,
    const cudnnTensorDescriptor_t dxDesc, void* dx) {
    return call([&] {
        alive(handle, dyDesc, dxDesc);
        Windows p(poolingDesc, xDesc, yDesc);
        cudnnTensorStruct dys = *dyDesc, dxs = *dxDesc;
        same(p.y, dys, "y and dy");
        same(p.x, dxs, "x and dx");
        need(x && y && dy && dx, "an array is NULL");
        double a = factor(alpha), b = factor(beta);
        launch(handle, {area(p.x, x), area(p.y, y), area(dys, dy), area(dxs, dx)}, [=] {
            std::vector<double> values = load(p.x, x), given = load(dys, dy), sums(dxs.count());
            if (p.largest()) {
                // The largest is looked up in x and in y, so both have to be what they were.
                std::vector<int64_t> best = p.places(values);
                std::vector<double> tops = load(p.y, y);
                for (size_t o = 0; o < given.size(); o++)
                    sums[best[o]] += tops[o] == values[best[o]] ? given[o] : NAN;
            } else {
                std::vector<double> sizes = p.sizes();
                p.each([&](int64_t o, int64_t i) { sums[i] += given[o] / sizes[o]; });
            }
            store(dxs, dx, sums, a, b);
        });
    });
}
