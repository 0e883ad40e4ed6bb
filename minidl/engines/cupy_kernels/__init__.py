"""The cupy engine: minidl's own CUDA kernels and cuBLAS, by way of CuPy.

Importing this package, or anything in it, does not import CuPy.
"""
