"""What C sources say of cuDNN's functions and constants, in the words of minidl's binding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

KINDS = {
    "cudnnHandle_t": "h",
    "cudnnTensorDescriptor_t": "t",
    "cudnnFilterDescriptor_t": "w",
    "cudnnConvolutionDescriptor_t": "c",
    "cudnnPoolingDescriptor_t": "p",
    "cudnnLRNDescriptor_t": "n",
    "cudnnActivationDescriptor_t": "a",
    "cudaStream_t": "x",
    "int": "i",
    "unsigned": "u",
    "double": "d",
    "size_t": "z",
}
FACTORS = re.compile(r"(alpha|beta)\w*|valuePtr")  # read from the host; other void* are device's
FUNCTION = re.compile(r"\b(cudnn\w+)\(([^(){};]*)\)\s*[;{]")
CONSTANT = re.compile(r"\b(CUDNN_\w+)(?: CUDNN_DEPRECATED_ENUM)?\s*=\s*(\d+)\b")


def text(files: Iterable[Path]) -> str:
    joined = "\n".join(file.read_text() for file in files)
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", joined, flags=re.DOTALL)


def signatures(source: str) -> dict[str, str]:
    """Function: its arguments, as in `api.SIGNATURES` without spaces."""
    found = FUNCTION.findall(source)
    return {name: "".join(map(_kind, parameters.split(","))) for name, parameters in found}


def constants(source: str) -> dict[str, int]:
    """Enumerators without their prefix."""
    return {name.removeprefix("CUDNN_"): int(value) for name, value in CONSTANT.findall(source)}


def _kind(parameter: str) -> str:
    words = re.findall(r"\w+|\*|\[", parameter.replace("const ", ""))
    if words in ([], ["void"]):
        return ""
    pointer = "*" in words or "[" in words
    if words[0] == "void":
        return "f" if FACTORS.fullmatch(words[-1]) else "x"
    if words[0].endswith("Perf_t"):
        return "R"
    kind = KINDS.get(words[0], "i")  # enumerations are ints
    return kind.upper() if pointer else kind
