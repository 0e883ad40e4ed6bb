"""Arithmetic: which numbers plans store, multiply and add up. Importing this loads no NumPy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Math:
    """One arithmetic, by the types of its numbers.

    name      what users call it: "bf16"
    arrays    type of the arrays whose layout a plan chooses; parameters, their gradients and what
              array code computes are float32 in any case
    products  what factors are rounded to before they are multiplied; "tf32": to 10 bits
    sums      what products are added up in
    """

    name: str
    arrays: str = "float32"
    products: str = "float32"
    sums: str = "float32"

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return repr(self.name)  # in the keys of measured times, see `tuning.problem`

    @property
    def halves(self) -> bool:
        """Whether arrays take half the bytes of float32."""
        return self.arrays in ("float16", "bfloat16")


FLOAT32 = Math("float32")
TF32 = Math("tf32", products="tf32")
FP16 = Math("fp16", arrays="float16", products="float16")
BF16 = Math("bf16", arrays="bfloat16", products="bfloat16")
MATHS = {math.name: math for math in (FLOAT32, TF32, FP16, BF16)}
