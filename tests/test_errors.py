"""Messages: four parts, several at once, near names."""

import builtins
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import errors
from minidl.errors import LONGEST_LINE, FormatError, escaped, legible, shortened


def test_only_the_parts_that_exist_are_printed():
    assert str(errors.DataError("gone")) == "gone"
    full = errors.DataError("found", where="here", expected="that", fix="do")
    assert str(full) == "here: found\n  expected: that\n  fix: do"


def test_one_error_is_raised_as_itself_and_none_not_at_all():
    errors.raise_all([])
    with pytest.raises(errors.GraphError, match="^a$"):
        errors.raise_all([errors.GraphError("a")])


def test_several_errors_are_raised_together_as_their_common_class():
    with pytest.raises(errors.PrototxtError, match="a\nb") as raised:
        errors.raise_all([errors.PrototxtError("a"), errors.PrototxtError("b")])
    assert isinstance(raised.value, errors.Several)


def test_several_of_several_are_one_list():
    two = errors.Several([errors.GraphError("a"), errors.GraphError("b")])
    with pytest.raises(errors.GraphError, match="a\nb\nc"):
        errors.raise_all([two, errors.UnknownLayerTypeError("c")])


def test_mixed_errors_keep_the_base_class():
    with pytest.raises(errors.Several):
        errors.raise_all([errors.GraphError("a"), errors.DataError("b")])


def test_a_flood_is_cut_and_counted():
    many = errors.Several([errors.GraphError(f"e{i}") for i in range(25)])
    assert str(many).endswith("... and 5 more errors")


@pytest.mark.parametrize("cls", errors.MinidlError.__subclasses__())
def test_every_class_says_when_it_is_raised_and_has_an_exit_code(cls):
    assert cls.__doc__
    assert cls.exit_code in (1, 2)


def test_near_names_ignore_case():
    assert errors.nearest("convolution", ["Convolution", "Pooling"]) == "Convolution"
    assert errors.did_you_mean("zzz", ["Convolution"]) == ""


BUILTIN = [
    kind
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
]


@pytest.mark.parametrize("builtin", BUILTIN, ids=lambda kind: kind.__name__)
def test_an_error_may_also_be_any_that_python_has(builtin):
    error = errors.also(errors.RunError, builtin)("found", where="here", fix="do")
    assert isinstance(error, errors.RunError) and error.exit_code == 1
    assert isinstance(error, builtin) or issubclass(builtin, errors.GROUPS)
    assert str(error) == "here: found\n  fix: do"
    assert errors.also(errors.RunError, builtin) is errors.also(errors.RunError, builtin)


def test_errors_are_those_that_pycaffe_raises():
    for kind in (errors.GraphError, errors.LayerConfigError, errors.DataError, errors.Several):
        assert issubclass(kind, RuntimeError)
    assert issubclass(errors.UsageError, ValueError) and issubclass(errors.FormatError, ValueError)


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
