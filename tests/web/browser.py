"""Starlette's test client, whichever release of httpx it finds."""

import warnings

with warnings.catch_warnings():
    # Its later releases would rather have httpx2, and work with httpx.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.filterwarnings("ignore", message=".*httpx.*")
    from starlette.testclient import TestClient

__all__ = ["TestClient"]
