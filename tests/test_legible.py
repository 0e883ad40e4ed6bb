"""Text of others, fit to be shown: nothing steers a terminal, nothing is endless."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import FormatError
from minidl.legible import LONGEST_LINE, escaped, legible, shortened

anything = st.text(st.characters(), max_size=60)  # lone surrogates, too


@given(anything)
def test_what_is_shown_can_be_encoded_and_steers_no_terminal(text):
    shown = escaped(text)
    shown.encode("utf-8")
    kept = set(shown) - set("\t\n")
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in kept)
    assert not kept & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(st.characters(whitelist_categories=("L", "N", "P", "S")), max_size=300))
def test_plain_text_stays_as_it_is(text):
    assert legible(f"{text}\n\tlayer 'conv1'") == f"{text}\n\tlayer 'conv1'"


@pytest.mark.parametrize(
    "text, shown",
    {
        "\x1b]0;title\x07": "\\x1b]0;title\\x07",
        "a\rb\x00": "a\\x0db\\x00",
        "\x9b31m": "\\x9b31m",
        "\udcff.png": "\\xff.png",
        "\ud800": "\\ud800",
        "abc\u202etxt.exe": "abc\\u202etxt.exe",
        "größe 層 🐈": "größe 層 🐈",
    }.items(),
)
def test_what_is_hidden_is_written_out(text, shown):
    assert escaped(text) == shown


def test_long_names_keep_their_ends_and_say_how_much_is_missing():
    name = "begin" + "x" * 100_000 + "end"
    short = shortened(f"no layer '{name}' in the net")
    assert short.startswith("no layer 'beginxxx") and short.endswith("xxxend' in the net")
    assert "[99,790 more]" in short


@given(st.lists(st.sampled_from(["a", "bb " * 900, "c" * 3000, "\n"]), max_size=12))
def test_no_line_is_longer_than_a_limit(parts):
    assert max(map(len, shortened("".join(parts)).split("\n"))) <= LONGEST_LINE


def test_errors_are_legible():
    shown = str(FormatError("bad\x1b[2J", where="x" * 100_000, expected="\x07", fix="\udce9"))
    assert "\x1b" not in shown and len(shown) < 500
    assert "bad\\x1b[2J\n  expected: \\x07\n  fix: \\xe9" in shown
