// Batch normalisation, by the definition.
#include "fake.h"

#include <cmath>

enum { PER_ACTIVATION = 0 };

// Which statistic element i belongs to, of as many as there are channels, or elements of an image.
struct Groups {
    int64_t count, inner;
    double members;
    Groups(const cudnnTensorStruct& x, int mode) {
        Extents e = extents(x);
        count = mode == PER_ACTIVATION ? e.c * e.inner : e.c;
        inner = mode == PER_ACTIVATION ? 1 : e.inner;
        members = static_cast<double>(x.count() / count);
    }
    int64_t of(size_t i) const { return static_cast<int64_t>(i) / inner % count; }
};

static void check_norm(int mode, const cudnnTensorStruct& x, const cudnnTensorStruct& y,
                       const cudnnTensorStruct& statistics, double epsilon) {
    need(mode >= 0 && mode <= 2, "no such mode");
    need(epsilon >= 0, "epsilon is negative");
    supported(x.dims.size() == 4 || x.dims.size() == 5, "two or three spatial axes");
    same(x, y, "x and y");
    Ints dims = x.dims;
    dims[0] = 1;
    if (mode != PER_ACTIVATION) dims = shape_of_channels(dims, dims[1]);
    need(statistics.type == FLOAT && statistics.dims == dims, "the statistics have other extents");
}

struct Moments {
    std::vector<double> mean, variance;  // the variance divided by the number of members
    Moments(const std::vector<double>& xs, const Groups& groups)
        : mean(groups.count), variance(groups.count) {
        for (size_t i = 0; i < xs.size(); i++) mean[groups.of(i)] += xs[i] / groups.members;
        for (size_t i = 0; i < xs.size(); i++) {
            double off = xs[i] - mean[groups.of(i)];
            variance[groups.of(i)] += off * off / groups.members;
        }
    }
};

EXPORT cudnnStatus_t cudnnBatchNormalizationForwardInference(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const cudnnTensorDescriptor_t xDesc, const void* x, const cudnnTensorDescriptor_t yDesc,
    void* y, const cudnnTensorDescriptor_t bnScaleBiasMeanVarDesc, const void* bnScale,
    const void* bnBias, const void* estimatedMean, const void* estimatedVariance,
    double epsilon) {
    return call([&] {
        alive(handle, xDesc, yDesc, bnScaleBiasMeanVarDesc);
        cudnnTensorStruct in = *xDesc, out = *yDesc, stats = *bnScaleBiasMeanVarDesc;
        check_norm(mode, in, out, stats, epsilon);
        need(x && y && bnScale && bnBias && estimatedMean && estimatedVariance, "NULL");
        double a = factor(alpha), b = factor(beta);
        auto all = {area(in, x), area(out, y), area(stats, bnScale), area(stats, bnBias),
                    area(stats, estimatedMean), area(stats, estimatedVariance)};
        launch(handle, all, [=] {
            std::vector<double> xs = load(in, x), scale = load(stats, bnScale);
            std::vector<double> bias = load(stats, bnBias), mean = load(stats, estimatedMean);
            std::vector<double> variance = load(stats, estimatedVariance);
            Groups groups(in, mode);
            for (size_t i = 0; i < xs.size(); i++) {
                int64_t g = groups.of(i);
                xs[i] = scale[g] * (xs[i] - mean[g]) / std::sqrt(variance[g] + epsilon) + bias[g];
            }
            store(out, y, xs, a, b);
        });
    });
}

// The running variance is that of the population: divided by one member less.
EXPORT cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alpha, const void* beta,
    const cudnnTensorDescriptor_t xDesc, const void* x, const cudnnTensorDescriptor_t yDesc,
    void* y, const cudnnTensorDescriptor_t bnScaleBiasMeanVarDesc, const void* bnScale,
    const void* bnBias, double exponentialAverageFactor, void* resultRunningMean,
    void* resultRunningVariance, double epsilon, void* resultSaveMean,
    void* resultSaveInvVariance) {
    return call([&] {
        alive(handle, xDesc, yDesc, bnScaleBiasMeanVarDesc);
        cudnnTensorStruct in = *xDesc, out = *yDesc, stats = *bnScaleBiasMeanVarDesc;
        check_norm(mode, in, out, stats, epsilon);
        need(x && y && bnScale && bnBias, "an array is NULL");
        need(!resultRunningMean == !resultRunningVariance, "one of two running statistics is NULL");
        need(!resultSaveMean == !resultSaveInvVariance, "one of two saved statistics is NULL");
        double a = factor(alpha), b = factor(beta), share = exponentialAverageFactor;
        auto all = {area(in, x), area(out, y), area(stats, bnScale), area(stats, bnBias),
                    area(stats, resultRunningMean), area(stats, resultRunningVariance),
                    area(stats, resultSaveMean), area(stats, resultSaveInvVariance)};
        launch(handle, all, [=] {
            std::vector<double> xs = load(in, x), scale = load(stats, bnScale);
            std::vector<double> bias = load(stats, bnBias);
            Groups groups(in, mode);
            Moments of(xs, groups);
            std::vector<double> inverse = of.variance, population = of.variance;
            for (double& value : inverse) value = 1 / std::sqrt(value + epsilon);
            for (double& value : population) value *= groups.members / (groups.members - 1);
            for (size_t i = 0; i < xs.size(); i++) {
                int64_t g = groups.of(i);
                xs[i] = scale[g] * (xs[i] - of.mean[g]) * inverse[g] + bias[g];
            }
            store(out, y, xs, a, b);
            if (resultSaveMean) store(stats, resultSaveMean, of.mean);
            if (resultSaveInvVariance) store(stats, resultSaveInvVariance, inverse);
            if (resultRunningMean) store(stats, resultRunningMean, of.mean, share, 1 - share);
            if (resultRunningVariance)
                store(stats, resultRunningVariance, population, share, 1 - share);
        });
    });
}

EXPORT cudnnStatus_t cudnnBatchNormalizationBackward(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void* alphaDataDiff,
    const void* betaDataDiff, const void* alphaParamDiff, const void* betaParamDiff,
    const cudnnTensorDescriptor_t xDesc, const void* x, const cudnnTensorDescriptor_t dyDesc,
    const void* dy, const cudnnTensorDescriptor_t dxDesc, void* dx,
    const cudnnTensorDescriptor_t dBnScaleBiasDesc, const void* bnScale, void* dBnScaleResult,
    void* dBnBiasResult, double epsilon, const void* savedMean, const void* savedInvVariance) {
    return call([&] {
        alive(handle, xDesc, dyDesc, dxDesc, dBnScaleBiasDesc);
        cudnnTensorStruct in = *xDesc, given = *dyDesc, wanted = *dxDesc, stats = *dBnScaleBiasDesc;
        check_norm(mode, in, given, stats, epsilon);
        same(in, wanted, "x and dx");
        need(x && dy && dx && bnScale && dBnScaleResult && dBnBiasResult, "an array is NULL");
        need(!savedMean == !savedInvVariance, "one of two saved statistics is NULL");
        double a = factor(alphaDataDiff), b = factor(betaDataDiff);
        double pa = factor(alphaParamDiff), pb = factor(betaParamDiff);
        auto all = {area(in, x), area(given, dy), area(wanted, dx), area(stats, bnScale),
                    area(stats, dBnScaleResult), area(stats, dBnBiasResult),
                    area(stats, savedMean), area(stats, savedInvVariance)};
        launch(handle, all, [=] {
            std::vector<double> xs = load(in, x), dys = load(given, dy), scale = load(stats, bnScale);
            Groups groups(in, mode);
            Moments of(xs, groups);
            std::vector<double> mean = of.mean, inverse = of.variance;
            for (double& value : inverse) value = 1 / std::sqrt(value + epsilon);
            if (savedMean) mean = load(stats, savedMean), inverse = load(stats, savedInvVariance);
            std::vector<double> dscale(groups.count), dbias(groups.count);
            for (size_t i = 0; i < xs.size(); i++) {
                int64_t g = groups.of(i);
                xs[i] = (xs[i] - mean[g]) * inverse[g];
                dscale[g] += dys[i] * xs[i];
                dbias[g] += dys[i];
            }
            for (size_t i = 0; i < xs.size(); i++) {
                int64_t g = groups.of(i);
                double centred = dys[i] - (dbias[g] + xs[i] * dscale[g]) / groups.members;
                dys[i] = scale[g] * inverse[g] * centred;
            }
            store(wanted, dx, dys, a, b);
            store(stats, dBnScaleResult, dscale, pa, pb);
            store(stats, dBnBiasResult, dbias, pa, pb);
        });
    });
}
