// Which algorithm does which convolution, with how much workspace: as the documentation of cuDNN
// has it, for a chip that has all that is implemented. Sizes are invented; times are ranks.
#include "convolution.h"

#include <algorithm>
#include <cstring>

enum Kind { NONE, IMPLICIT, PRECOMPUTED, EXPLICIT, ATOMIC, ATOMIC_PRECOMPUTED, FFT, TILED_FFT,
            WINOGRAD, WINOGRAD_NONFUSED };

// By their numbers in each of the three passes. NONE: named in the header, never implemented.
static const std::vector<Kind> KINDS[3] = {
    {IMPLICIT, PRECOMPUTED, EXPLICIT, NONE, FFT, TILED_FFT, WINOGRAD, WINOGRAD_NONFUSED},
    {ATOMIC, IMPLICIT, FFT, TILED_FFT, WINOGRAD, WINOGRAD_NONFUSED},
    {ATOMIC, IMPLICIT, FFT, ATOMIC_PRECOMPUTED, NONE, WINOGRAD_NONFUSED, TILED_FFT},
};
static const std::vector<Kind> FASTEST_FIRST = {
    WINOGRAD, WINOGRAD_NONFUSED, PRECOMPUTED, IMPLICIT, ATOMIC_PRECOMPUTED, ATOMIC, EXPLICIT,
    TILED_FFT, FFT, NONE};

static uint32_t switched_off[3];  // a bit for each algorithm of a pass

EXPORT void fake_cudnn_decline(int pass, int algo, int off) {
    uint32_t bit = 1u << algo;
    switched_off[pass] = off ? switched_off[pass] | bit : switched_off[pass] & ~bit;
}
EXPORT void fake_cudnn_reset() { std::memset(switched_off, 0, sizeof switched_off); }

static bool all(const int64_t* values, int64_t value) {
    return values[0] == value && values[1] == value && values[2] == value;
}

static std::string needs(Kind kind, const Problem& p) {
    if (kind == NONE) return "this algorithm is not implemented";
    if (kind == IMPLICIT || kind == PRECOMPUTED) return "";
    if (!p.plain()) return "this algorithm needs dense N C H W";
    if (kind == ATOMIC) return "";
    if (!all(p.dilation, 1)) return "this algorithm has no dilation";
    if (kind == EXPLICIT || kind == ATOMIC_PRECOMPUTED) return "";
    if (!all(p.stride, 1)) return "this algorithm has no strides";
    for (int axis = 3 - p.axes; axis < 3; axis++) {
        bool padded_away = p.kernel[axis] <= p.pad[axis], fft = kind == FFT || kind == TILED_FFT;
        if (fft && padded_away) return "the padding is as wide as the kernel";
        if (kind == FFT && p.in[axis] + 2 * p.pad[axis] > 256) return "larger than 256";
        if (kind == TILED_FFT && p.kernel[axis] > 32) return "a kernel larger than 32";
    }
    if (kind == TILED_FFT) return "";
    if (p.axes != 2) return "this algorithm has two spatial axes only";
    if (kind == FFT) return p.x.type == FLOAT ? "" : "this algorithm has float only";
    bool three = p.kernel[1] == 3 && p.kernel[2] == 3, five = p.kernel[1] == 5 && p.kernel[2] == 5;
    if (three || (kind == WINOGRAD_NONFUSED && five && p.x.type == FLOAT)) return "";
    return "this algorithm has no such kernel";
}

std::string declined(Pass pass, int algo, const Problem& problem) {
    const auto& kinds = KINDS[pass];
    need(algo >= 0 && algo < static_cast<int>(kinds.size()), "no such algorithm");
    if (switched_off[pass] >> algo & 1) return "this chip does not have this algorithm";
    return needs(kinds[algo], problem);
}

size_t workspace(Pass pass, int algo, const Problem& p) {
    size_t out = p.out[0] * p.out[1] * p.out[2], taps = p.w.count() / p.w.dims[0];
    size_t images = p.x.dims[0] * p.x.dims[1], filters = p.w.dims[0] * p.w.dims[1];
    size_t maps = p.y.dims[0] * p.y.dims[1], transforms = images + filters + maps;
    switch (KINDS[pass][algo]) {
        // A half sum is kept in float until it is complete.
        case IMPLICIT: return pass == FILTER && p.x.type != FLOAT ? 4 * p.w.count() : 0;
        case PRECOMPUTED: return 4 * (out + taps);
        case ATOMIC_PRECOMPUTED: return 4 * taps;
        case EXPLICIT: return 4 * out * taps * p.groups;
        case WINOGRAD: return 4 * 16 * filters;
        case WINOGRAD_NONFUSED: return 4 * 36 * (filters + maps * ((out + 15) / 16));
        case TILED_FFT: return 8 * 32 * 17 * transforms;
        case FFT: return 8 * 256 * 129 * transforms;
        default: return 0;
    }
}

// ------------------------------------------------------------------ lists of them

static bool deterministic(Kind kind) { return kind != ATOMIC && kind != ATOMIC_PRECOMPUTED; }

// All algorithms, the fastest first, those that decline last. With tensor cores each is there
// twice: with them and without.
static std::vector<Perf> ranked(Pass pass, const Problem& problem) {
    std::vector<Perf> can, cannot;
    std::vector<int> maths = {problem.math};
    if (problem.math == 1) maths.push_back(0);
    for (int math : maths)
        for (Kind kind : FASTEST_FIRST)
            for (int algo = 0; algo < static_cast<int>(KINDS[pass].size()); algo++) {
                if (KINDS[pass][algo] != kind) continue;
                Perf perf = {algo, SUCCESS, -1.0f, 0, deterministic(kind), math, {}};
                if (declined(pass, algo, problem).empty()) {
                    perf.memory = workspace(pass, algo, problem);
                    can.push_back(perf);
                } else {
                    perf.status = status(NOT_SUPPORTED);
                    cannot.push_back(perf);
                }
            }
    can.insert(can.end(), cannot.begin(), cannot.end());
    return can;
}

static void answer(const std::vector<Perf>& perfs, int room, int* count, Perf* results) {
    need(room > 0, "no algorithm is asked for");
    *count = std::min(room, static_cast<int>(perfs.size()));
    std::copy(perfs.begin(), perfs.begin() + *count, results);
}

// Times are ranks; what is measured is overwritten, so that nobody relies on its being kept.
static std::vector<Perf> measured(cudnnHandle_t handle, Pass pass, const Problem& problem,
                                  const cudnnTensorStruct& output, void* memory, void* scratch,
                                  size_t room) {
    synchronise(handle);  // what is measured starts on an idle device
    launch(handle, {area(output, memory), {scratch, room}}, [=] {
        if (scratch) std::memset(scratch, 0xff, room);
        store(output, memory, std::vector<double>(output.count(), __builtin_nan("")));
    });
    synchronise(handle);
    std::vector<Perf> perfs = ranked(pass, problem);
    for (size_t i = 0; i < perfs.size(); i++) {
        if (perfs[i].status == SUCCESS && perfs[i].memory > room) perfs[i].status = status(ALLOC_FAILED);
        if (perfs[i].status == SUCCESS) perfs[i].time = 0.1f * static_cast<float>(i + 1);
    }
    std::stable_partition(perfs.begin(), perfs.end(), [](const Perf& p) { return !p.status; });
    return perfs;
}

static void sized(Pass pass, int algo, const Problem& problem, size_t* bytes) {
    std::string why = declined(pass, algo, problem);
    supported(why.empty(), why);
    *bytes = workspace(pass, algo, problem);
}

EXPORT cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t srcDesc,
    const cudnnFilterDescriptor_t filterDesc, const cudnnConvolutionDescriptor_t convDesc,
    const cudnnTensorDescriptor_t destDesc, const int requestedAlgoCount, int* returnedAlgoCount,
    cudnnConvolutionFwdAlgoPerf_t* perfResults) {
    return call([&] {
        alive(handle);
        answer(ranked(FORWARD, {srcDesc, filterDesc, convDesc, destDesc}), requestedAlgoCount,
               returnedAlgoCount, perfResults);
    });
}

EXPORT cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t filterDesc,
    const cudnnTensorDescriptor_t diffDesc, const cudnnConvolutionDescriptor_t convDesc,
    const cudnnTensorDescriptor_t gradDesc, const int requestedAlgoCount, int* returnedAlgoCount,
    cudnnConvolutionBwdDataAlgoPerf_t* perfResults) {
    return call([&] {
        alive(handle);
        answer(ranked(DATA, {gradDesc, filterDesc, convDesc, diffDesc}), requestedAlgoCount,
               returnedAlgoCount, perfResults);
    });
}

EXPORT cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t srcDesc,
    const cudnnTensorDescriptor_t diffDesc, const cudnnConvolutionDescriptor_t convDesc,
    const cudnnFilterDescriptor_t gradDesc, const int requestedAlgoCount, int* returnedAlgoCount,
    cudnnConvolutionBwdFilterAlgoPerf_t* perfResults) {
    return call([&] {
        alive(handle);
        answer(ranked(FILTER, {srcDesc, gradDesc, convDesc, diffDesc}), requestedAlgoCount,
               returnedAlgoCount, perfResults);
    });
}

EXPORT cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc, const void* x,
    const cudnnFilterDescriptor_t wDesc, const void* w,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t yDesc, void* y,
    const int requestedAlgoCount, int* returnedAlgoCount,
    cudnnConvolutionFwdAlgoPerf_t* perfResults, void* workSpace, size_t workSpaceSizeInBytes) {
    return call([&] {
        alive(handle);
        need(x && w && y, "an array is NULL");
        answer(measured(handle, FORWARD, {xDesc, wDesc, convDesc, yDesc}, *yDesc, y, workSpace,
                        workSpaceSizeInBytes),
               requestedAlgoCount, returnedAlgoCount, perfResults);
    });
}

EXPORT cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t wDesc, const void* w,
    const cudnnTensorDescriptor_t dyDesc, const void* dy,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnTensorDescriptor_t dxDesc, void* dx,
    const int requestedAlgoCount, int* returnedAlgoCount,
    cudnnConvolutionBwdDataAlgoPerf_t* perfResults, void* workSpace,
    size_t workSpaceSizeInBytes) {
    return call([&] {
        alive(handle);
        need(w && dy && dx, "an array is NULL");
        answer(measured(handle, DATA, {dxDesc, wDesc, convDesc, dyDesc}, *dxDesc, dx, workSpace,
                        workSpaceSizeInBytes),
               requestedAlgoCount, returnedAlgoCount, perfResults);
    });
}

EXPORT cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc, const void* x,
    const cudnnTensorDescriptor_t dyDesc, const void* y,
    const cudnnConvolutionDescriptor_t convDesc, const cudnnFilterDescriptor_t dwDesc, void* dw,
    const int requestedAlgoCount, int* returnedAlgoCount,
    cudnnConvolutionBwdFilterAlgoPerf_t* perfResults, void* workSpace,
    size_t workSpaceSizeInBytes) {
    return call([&] {
        alive(handle);
        need(x && y && dw, "an array is NULL");
        answer(measured(handle, FILTER, {xDesc, dwDesc, convDesc, dyDesc}, *dwDesc, dw, workSpace,
                        workSpaceSizeInBytes),
               requestedAlgoCount, returnedAlgoCount, perfResults);
    });
}

EXPORT cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc,
    const cudnnFilterDescriptor_t wDesc, const cudnnConvolutionDescriptor_t convDesc,
    const cudnnTensorDescriptor_t yDesc, cudnnConvolutionFwdAlgo_t algo, size_t* sizeInBytes) {
    return call([&] {
        alive(handle);
        sized(FORWARD, algo, {xDesc, wDesc, convDesc, yDesc}, sizeInBytes);
    });
}

EXPORT cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t wDesc,
    const cudnnTensorDescriptor_t dyDesc, const cudnnConvolutionDescriptor_t convDesc,
    const cudnnTensorDescriptor_t dxDesc, cudnnConvolutionBwdDataAlgo_t algo,
    size_t* sizeInBytes) {
    return call([&] {
        alive(handle);
        sized(DATA, algo, {dxDesc, wDesc, convDesc, dyDesc}, sizeInBytes);
    });
}

EXPORT cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t xDesc,
    const cudnnTensorDescriptor_t dyDesc, const cudnnConvolutionDescriptor_t convDesc,
    const cudnnFilterDescriptor_t gradDesc, cudnnConvolutionBwdFilterAlgo_t algo,
    size_t* sizeInBytes) {
    return call([&] {
        alive(handle);
        sized(FILTER, algo, {xDesc, gradDesc, convDesc, dyDesc}, sizeInBytes);
    });
}
