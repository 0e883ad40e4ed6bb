"""minidl: Caffe reborn in Python that can be read. The public names, and nothing else."""

import os as _os

# Before NumPy loads: its OpenBLAS workers otherwise keep spinning for about 25 ms after every
# matrix product, on a core that the next layer needs (2**8 cycles instead of 2**26).
_os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "8")
# Before libgomp loads, for the same reason.
_os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from minidl.schema import TEST, TRAIN  # noqa: E402

__version__ = "0.1.0"

__all__ = ["TEST", "TRAIN", "__version__"]
