"""How minidl installs: the package, and beside it its schema and its zoo of nets."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
INIT = (HERE / "minidl" / "__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'^__version__ = "([^"]+)"$', INIT, re.MULTILINE).group(1)

# proto/ and zoo/ are folders of files at the top of the checkout, where people look for them.
# Installed under their own names they would be top-level packages ("proto" is proto-plus's),
# so they go below minidl.
FOLDERS = {"minidl.proto": "proto", "minidl.zoo": "zoo"}
MODELS = [f"minidl.zoo.{path.parent.name}" for path in sorted((HERE / "zoo").glob("*/README.md"))]

# The last build of the library with an interface in C and OpenMP threads: docs/decisions/0006.
ONEDNN = 'onednn-cpu-gomp==2023.2.0; sys_platform == "linux" and platform_machine in "x86_64 AMD64"'
DIGITS = ["scikit-learn>=1.5"]
IMAGES = ["Pillow>=10"]
# docs/decisions/0009: LevelDB is read by our own code; cramjam expands its Snappy.
HDF5, SAFETENSORS, LEVELDB = ["h5py>=3.11"], ["safetensors>=0.4"], ["cramjam>=2.6"]
# LevelDB itself, to write stores for the tests; it has no wheels for later Pythons.
PLYVEL = 'plyvel>=1.5; python_version < "3.13" and sys_platform != "win32"'
ONNX = ["onnx>=1.17"]
PLOT = ["matplotlib>=3.8"]
# The last three have later releases for Python 3.11 and up only.
WEB = ["jinja2>=3.1", "starlette>=1.7", "uvicorn>=0.54", "python-multipart>=0.0.32"]


def cuda(major: int) -> list[str]:
    """CuPy with what it needs of a CUDA release, and cuDNN: docs/decisions/0008."""
    return [f"cupy-cuda{major}x[ctk]>=14", f"nvidia-cudnn-cu{major}>=9,<10"]


setup(
    name="minidl",
    version=VERSION,
    description="Caffe in readable Python: its prototxt files, its numbers, NumPy underneath",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="BSD-2-Clause",
    python_requires=">=3.10",
    packages=[*find_packages(include=["minidl", "minidl.*"]), *FOLDERS, *MODELS],
    package_dir=FOLDERS,
    package_data={
        "minidl.engines.cupy_kernels": ["*.cu", "*.cuh"],
        "minidl.proto": ["*.proto", "*.desc"],
        "minidl.web": ["templates/*.html", "static/*", "static/*/*", "static/*/*/*"],
        "minidl.zoo": ["*.md"],
        **{model: ["*.prototxt", "*.md"] for model in MODELS},
    },
    install_requires=["numpy>=2,<3", "protobuf>=5,<8", "lmdb>=1.4", "tqdm>=4.60", ONEDNN],
    extras_require={
        "digits": DIGITS,
        "images": IMAGES,
        "hdf5": HDF5,
        "safetensors": SAFETENSORS,
        "leveldb": LEVELDB,
        "onnx": ONNX,
        "plot": PLOT,
        "web": WEB,
        "cuda12": cuda(12),
        "cuda13": cuda(13),
        # ruff and mypy to the minor release: each one words, formats or infers a little differently
        "test": [
            *DIGITS,
            *IMAGES,
            *HDF5,
            *SAFETENSORS,
            *LEVELDB,
            PLYVEL,
            *ONNX,
            *PLOT,
            *WEB,
            "httpx>=0.27",  # Starlette's test client
            "onnxruntime>=1.19",  # runs what minidl export writes, beside the net
            "nbformat>=5.9",  # these three write and run the examples' notebooks:
            "nbclient>=0.10",  # docs/decisions/0013
            "ipykernel>=6.29",
            "pytest>=8",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "grpcio-tools>=1.66",
            "setuptools>=77",  # builds the wheel that tests/test_packaging.py looks into
            "ruff==0.17.*",
            "mypy==2.4.*",
            "types-protobuf>=5",
        ],
        # the page in a real browser: Chromium itself comes from the distribution
        "browser": ["playwright>=1.49", "axe-playwright-python>=0.1.4"],
        "bench": [*IMAGES, "torch>=2.4", "opencv-python-headless>=4.8,<5"],
    },
    entry_points={"console_scripts": ["minidl = minidl.cli:main"]},
)
