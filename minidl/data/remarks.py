"""What people should know of a data set: remarks in sentences, with examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minidl.data.described import Remark

SHOWN = 10  # cases of a remark


def remark(kind: str, text: str, cases: Sequence[str]) -> Remark:
    """Return a remark on some cases, the first of which are its examples."""
    return Remark(kind, text, len(cases), tuple(cases[:SHOWN]))


def on_unreadable(sentences: Sequence[str]) -> list[Remark]:
    if not sentences:
        return []
    count = f"{len(sentences):,} file{'s' * (len(sentences) > 1)}"
    return [remark("unreadable", f"{count} could not be read and were left out", sentences)]


def on_others(others: Mapping[str, int]) -> list[Remark]:
    if not others:
        return []
    total = sum(others.values())
    text = f"{total:,} file{'s' * (total > 1)} skipped, not pictures by their names"
    kinds = [f"{ending} ({count:,})" for ending, count in sorted(others.items())]
    return [Remark("other", text, total, tuple(kinds[:SHOWN]))]
