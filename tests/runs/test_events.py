"""The event file: what is written is read again, older and newer files are read too."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import FormatError, RunError
from minidl.runs import events, store
from tests.runs.support import EVENTS

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
OF = {
    "int": st.integers(0, 2**63 - 1),
    "float": NUMBERS,
    "float | None": st.none() | NUMBERS,
    "str": st.text(),
    "bool": st.booleans(),
    "Outputs": st.dictionaries(st.text(), NUMBERS | st.lists(NUMBERS), max_size=3),
}


def any_event(kind):
    return st.builds(kind, **{f.name: OF[f.type] for f in dataclasses.fields(kind)})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def write(path, found, end="\n"):
    path.write_text("\n".join(json.dumps(event) for event in found) + end)
    return path


@given(st.lists(st.sampled_from(list(events.KINDS.values())).flatmap(any_event), max_size=4))
def test_what_is_written_is_read(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("run") / "events.jsonl"
    path.touch()
    for event in written:
        events.append(path, event)
    assert list(events.read(path)) == written


def test_a_line_has_its_kind_its_time_and_its_iteration_first(path):
    events.append(path, events.Snapshot(10, "w", "s", time=2.5))
    line = '{"event": "snapshot", "time": 2.5, "iter": 10, "weights": "w", "state": "s"}\n'
    assert path.read_text() == line
    events.append(path, events.Test(10, 0, {"accuracy": 0.5}, time=3.0))
    line = '{"event": "test", "time": 3.0, "iter": 10, "net": 0, "outputs": {"accuracy": 0.5}}'
    assert path.read_text().splitlines()[1] == line


def test_what_json_has_no_word_for_is_null_and_not_a_number_again(path):
    events.append(path, events.Display(1, math.nan, 0.1, {"a": [math.inf, 1.0]}))
    event = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert (event["loss"], event["outputs"]) == (None, {"a": [None, 1.0]})
    (found,) = events.read(path)
    assert math.isnan(found.loss) and math.isnan(found.outputs["a"][0])
    assert found.outputs["a"][1] == 1


def test_events_of_older_versions_lack_fields_and_those_of_newer_ones_have_more(path):
    write(path, EVENTS)
    assert [type(e).__name__.lower() for e in events.read(path)] == [e["event"] for e in EVENTS]
    write(path, [dict(event="shards", time=1, iter=2, of=3), dict(EVENTS[1], rank=0)])
    first, second = events.read(path)
    assert (type(first), first.iter) == (events.Event, 2)
    assert second.outputs == EVENTS[1]["outputs"]


def test_the_figures_of_an_event_file(path):
    record = store.record(write(path, EVENTS).parent)
    first, second = record.train
    assert (first.iteration, first.seconds, first.rate) == (0, 2.0, 0.1)
    assert math.isnan(first.outputs["loss"])
    assert second.outputs == {"p": 1, "p[1]": 2}
    assert [(r.seconds, r.rate) for r in record.tests[0]] == [(1.0, 0.1), (4.0, 0.1)]
    assert [value for *_, value in record.loss] == [2.5, 0.5, 0.4]
    assert record.losses == {"loss"}


def test_a_last_line_that_a_run_was_killed_in_is_passed_over(path):
    write(path, [*EVENTS, dict(event="test")], end="")
    assert len(store.record(path).tests[0]) == 2


def test_a_file_that_cannot_be_written_is_an_error_of_the_run(tmp_path):
    with pytest.raises(RunError, match="absent/e.jsonl: cannot be written: No such file"):
        events.append(tmp_path / "absent" / "e.jsonl", events.End(0))


REFUSED = {
    "no event": '{"loss": 1}\n',
    "no JSON": "Iteration 0\n",
    "no object": "[1]\n",
    "no iteration": '{"event": "test", "time": 1, "iter": "x"}\n',
    "no time": '{"event": "end", "iter": 0}\n',
    "no outputs": '{"event": "test", "time": 1, "iter": 2, "net": 0, "outputs": 3}\n',
    "no loss": '{"event": "display", "time": 1, "iter": 2, "lr": 0, "outputs": {}}\n',
    "a deep one": "[" * 100_000 + "\n",
    "a huge iteration": '{"event": "end", "time": 1, "iter": 1' + "0" * 400 + "}\n",
    "5,000 digits": '{"event": "test", "iter": ' + "9" * 5000 + "}\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_line_that_is_not_an_event_is_refused_by_its_number(path, text):
    path.write_text('{"event": "start", "time": 1, "iter": 0}\n' + text)
    with pytest.raises(FormatError, match=r"events.jsonl:2: is not an event"):
        list(events.read(path))
