"""Before NumPy loads: one BLAS thread, so that tests beside one another do not fight for cores."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
