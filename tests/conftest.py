"""Before NumPy loads: one BLAS thread, so that tests beside one another do not fight for cores."""

import os

from hypothesis import settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# In CI the same examples each time: a change is not refused for what it did not do. Elsewhere new
# ones are drawn in every run, and those that fail are kept and tried again.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
