"""Which algorithm a request gets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.engines.cudnn.choice import choose
from minidl.engines.cudnn.problem import Algorithm
from minidl.engines.request import Request

REQUEST = Request(bottom_shapes=((1,),), top_shapes=((1,),))
LIST = [
    Algorithm("winograd", 6, refusal="not supported for this shape and chip"),
    Algorithm("winograd_nonfused", 7, workspace=4096),
    Algorithm("algo0", 0, deterministic=False),
    Algorithm("gemm", 2, workspace=1024),
    Algorithm("implicit_gemm", 0),
]


def names(**changes):
    limit = changes.get("limit")
    choices = choose(LIST, replace(REQUEST, **changes), limit)
    return [choice.algorithm.name for choice in choices]


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({}, ["winograd_nonfused", "algo0", "gemm", "implicit_gemm"]),
        ({"limit": 1024}, ["algo0", "gemm", "implicit_gemm"]),
        ({"limit": 0}, ["algo0", "implicit_gemm"]),
        ({"algorithm": "no_workspace"}, ["algo0", "implicit_gemm"]),
        ({"deterministic": True}, ["winograd_nonfused", "gemm", "implicit_gemm"]),
        ({"deterministic": True, "limit": 100}, ["implicit_gemm"]),
        ({"algorithm": "gemm"}, ["gemm", "implicit_gemm", "winograd_nonfused", "algo0"]),
        ({"algorithm": "winograd"}, ["winograd_nonfused", "algo0", "gemm", "implicit_gemm"]),
    ],
    ids=str,
)
def test_preferences_of_the_course(asked, expected):
    assert names(**asked) == expected


@pytest.mark.parametrize(
    "asked, why",
    [
        ({"algorithm": "fft"}, "this pass has no fft"),
        (
            {"algorithm": "nonfused", "limit": 2048},
            "winograd_nonfused is in need of 4 KiB of workspace, 2 KiB are allowed",
        ),
        ({"algorithm": "gemm"}, ""),
    ],
    ids=str,
)
def test_what_was_asked_for_and_is_not_taken_is_explained(asked, why):
    first = next(choose(LIST, replace(REQUEST, **asked), asked.get("limit")))
    assert first.why == why


def test_where_nothing_is_allowed_every_reason_is_given():
    (nothing,) = choose(LIST[:3], replace(REQUEST, deterministic=True), 10)
    assert nothing.algorithm is None
    assert nothing.why == (
        "winograd: not supported for this shape and chip; winograd_nonfused: in need of 4 KiB of "
        "workspace, 10 B are allowed; algo0: not deterministic"
    )


@given(
    found=st.lists(
        st.builds(
            Algorithm,
            st.sampled_from([a.name for a in LIST]),
            st.integers(0, 7),
            refusal=st.sampled_from(["", "", "no"]),
            workspace=st.integers(0, 9),
            deterministic=st.booleans(),
        ),
        unique_by=lambda a: a.name,
    ),
    limit=st.none() | st.integers(0, 9),
    algorithm=st.sampled_from(["fastest", "no_workspace", "gemm", "winograd"]),
    deterministic=st.booleans(),
)
def test_every_choice_is_allowed_and_none_is_there_twice(found, limit, algorithm, deterministic):
    request = replace(REQUEST, algorithm=algorithm, deterministic=deterministic)
    choices = [c.algorithm for c in choose(found, request, limit)]
    if choices == [None]:
        choices = []
    allowed = [
        a
        for a in found
        if not a.refusal
        and (limit is None or a.workspace <= limit)
        and (a.deterministic or not deterministic)
        and (algorithm != "no_workspace" or not a.workspace)
    ]
    assert sorted(a.name for a in choices) == sorted(a.name for a in allowed)
