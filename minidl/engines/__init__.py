"""Libraries that can stand in for the inner loop of a heavy layer.

A layer states what it computes as a frozen description (`minidl.ops`). An engine that has a faster
way answers with plans for it; a plan is prepared once for its shapes and executed many times.
Neither knows the other: a layer never imports an engine, an engine never imports a layer.

    request.py   what an engine is asked for          select.py   which engine and plan a layer gets
    plan.py      what it answers with                 tuning.py   the fastest of several plans
    engine.py    what an engine declares              times.py    what was measured, kept in a file
    math.py      which arithmetic there is            update.py   a solver's step on flat arrays

    onednn/         Intel's library, on CPUs
    cudnn/          NVIDIA's library, on its GPUs
    cupy_kernels/   our own kernels and cuBLAS, on GPUs
"""
