"""Everything that only a GPU can show: `make gpu-check`, and `make gpu-bench` for speed alone.

    python benchmarks/gpu/check.py          all checks, then the benchmarks: at most 10 minutes
    python benchmarks/gpu/bench.py          the benchmarks
    python benchmarks/gpu/check.py --only nets --only leak

    plan.py       the parts, in order, and how many seconds each may take
    part.py       the process that runs one part; cases.py: what a part consists of
    conduct.py    starts these processes, and goes on behind what broke off
    report.py     one report, as text and as JSON
    parts/        one module a part
    rows.py       the races against PyTorch

They run from an unpacked source tree with the CuPy, NumPy and protobuf that are there. What needs
anything else (PyTorch, recorded numbers of Caffe) is left out, and the report says so.

Every part is a process of its own: a kernel that writes where it must not leaves its process
without a device, a wrong call of cuDNN may end it, and either is one failed case here, not the end
of the run.
"""
