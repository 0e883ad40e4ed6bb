"""What a schedule says in words."""

import pytest

from minidl.cli.plans import conversion_in_words, in_words

LAYER = {"engine": "onednn", "algorithm": "jit:avx2", "layout": "", "fused": False, "why": ""}


@pytest.mark.parametrize(
    "changed, words",
    [
        (dict(), "onednn jit:avx2"),
        (dict(layout="nChw8c"), "onednn jit:avx2 nChw8c"),
        (dict(algorithm="jit:avx2 nhwc", layout="nhwc"), "onednn jit:avx2 nhwc"),
        (dict(algorithm="jit nhwc", layout="nhwc bf16"), "onednn jit nhwc bf16"),
        (dict(fused=True), "onednn jit:avx2, fused"),
        (dict(engine="numpy", algorithm=""), "array code"),
        (dict(engine="numpy", algorithm="", fused=True), "array code, fused"),
        (dict(engine="none", algorithm=""), ""),
    ],
)
def test_who_computes_a_layer(changed, words):
    assert in_words({**LAYER, **changed}) == words


def test_a_conversion_says_where_and_what():
    copy = {"layer": "ip1", "pass": "backward", "when": "after", "blob": "pool2", "kind": "diff"}
    copy |= {"from": "plain", "to": "nhwc", "bytes": 204800}
    expected = "ip1, after its backward: gradient of pool2 from plain to nhwc (200 KiB)"
    assert conversion_in_words(copy) == expected
