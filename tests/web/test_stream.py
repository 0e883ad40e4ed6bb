"""Server-sent events: nothing lost, nothing twice, one look at a file for all who watch it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os

import pytest

from minidl.web import stream
from tests.web.making import display, events


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(stream, "EVERY_S", 0.02)
    monkeypatch.setattr(stream.Tail.__init__, "__defaults__", (0.02,))


def parsed(message: bytes) -> dict[str, str]:
    pairs = (line.split(": ", 1) for line in message.decode().strip().split("\n"))
    return dict(pairs)


def lines_of(message: dict[str, str]) -> list:
    found = json.loads(message["data"])
    return found if message["event"] == "batch" else [found]


async def some(messages, done, seconds: float = 20.0) -> list[dict[str, str]]:
    """Return messages until `done` says of all of them that they are enough."""
    found: list[dict[str, str]] = []

    async def gather():
        async for message in messages:
            if not message.startswith(b":"):
                found.append(parsed(message))
            if done(found):
                return

    try:
        await asyncio.wait_for(gather(), seconds)
    finally:
        await messages.aclose()
    return found


def of_job(folder, begin=(0, None), log=None, tails=None, status=lambda: {}):
    return stream.of_job(
        stream.Tails() if tails is None else tails,
        folder / "events.jsonl",
        folder / "status.json",
        log,
        begin,
        status,
    )


def iterations(found) -> list[int]:
    messages = [one for one in found if one["event"] in ("event", "batch")]
    return [line["iter"] for message in messages for line in lines_of(message)]


def test_what_is_there_comes_first_then_what_comes(tmp_path):
    events(tmp_path, *(display(i, 1.0) for i in range(3)))

    async def work():
        messages = of_job(tmp_path)
        task = asyncio.create_task(some(messages, lambda f: len(iterations(f)) == 5))
        await asyncio.sleep(0.2)
        events(tmp_path, display(3, 1.0), display(4, 1.0))
        return await task

    found = asyncio.run(work())
    assert found[0]["event"] == "status"
    assert iterations(found) == [0, 1, 2, 3, 4]
    assert int(found[-1]["id"]) == (tmp_path / "events.jsonl").stat().st_size


def test_a_line_comes_when_it_is_whole(tmp_path):
    line = json.dumps(display(1, 0.5)) + "\n"
    events(tmp_path, display(0, 1.0), line[:20])

    async def work():
        task = asyncio.create_task(some(of_job(tmp_path), lambda f: len(iterations(f)) == 2))
        await asyncio.sleep(0.2)
        assert not task.done()
        events(tmp_path, line[20:])
        return await task

    assert iterations(asyncio.run(work())) == [0, 1]


@pytest.mark.parametrize("lost_after", [1, 2, 3])
def test_a_browser_that_comes_back_misses_nothing(tmp_path, monkeypatch, lost_after):
    """The connection is lost after some messages of some bytes each; the file grows meanwhile."""
    monkeypatch.setattr(stream, "MOST", 300)
    events(tmp_path, *(display(i, 1.0) for i in range(20)))

    async def work():
        got = await some(of_job(tmp_path), lambda f: len(f) == 1 + lost_after)
        events(tmp_path, *(display(i, 1.0) for i in range(20, 25)))
        begin = stream.start("0", got[-1]["id"])
        rest = await some(of_job(tmp_path, begin), lambda f: iterations(f)[-1:] == [24])
        return iterations(got) + iterations(rest)

    assert asyncio.run(work()) == list(range(25))


def test_without_an_offset_only_what_is_new_comes(tmp_path):
    events(tmp_path, display(0, 1.0))

    async def work():
        messages = of_job(tmp_path, (None, None))
        task = asyncio.create_task(some(messages, lambda f: len(iterations(f)) == 1))
        await asyncio.sleep(0.2)
        events(tmp_path, display(1, 1.0))
        return await task

    assert iterations(asyncio.run(work())) == [1]


def test_a_file_that_was_made_anew_is_sent_from_its_start(tmp_path):
    path = events(tmp_path, *(display(i, 1.0) for i in range(9)))

    async def work():
        task = asyncio.create_task(some(of_job(tmp_path), lambda f: iterations(f)[-1:] == [70]))
        await asyncio.sleep(0.2)
        path.unlink()
        events(tmp_path, display(70, 1.0))
        return await task

    assert iterations(asyncio.run(work())) == [*range(9), 70]


def test_log_and_status_come_too(tmp_path):
    events(tmp_path, display(0, 1.0))
    log = tmp_path / "net.log"
    log.write_text("one\ntw")

    async def work():
        messages = of_job(tmp_path, (0, 0), log, status=lambda: {"state": "running"})
        enough = lambda f: sum(m["event"] == "log" for m in f) == 2  # noqa: E731
        task = asyncio.create_task(some(messages, enough))
        await asyncio.sleep(0.2)
        (tmp_path / "status.json").write_text("{}")
        await asyncio.sleep(0.2)
        with open(log, "a") as file:
            file.write("o\n")
        return await task

    found = asyncio.run(work())
    logs = [json.loads(m["data"]) for m in found if m["event"] == "log"]
    assert [one["text"] for one in logs] == ["one\n", "two\n"]
    assert logs[-1]["offset"] == 8 and found[-1]["id"].endswith(":8")
    assert sum(m["event"] == "status" for m in found) == 2


def test_a_quiet_file_has_a_heart(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)

    async def work():
        messages = of_job(tmp_path)
        try:
            return [await anext(messages) for _ in range(3)]
        finally:
            await messages.aclose()

    status, *beats = asyncio.run(work())
    assert b"status" in status and beats == [stream.HEARTBEAT] * 2


def test_all_who_watch_share_one_look_at_a_file(tmp_path, monkeypatch):
    events(tmp_path, *(display(i, 1.0) for i in range(50)))
    reads = []
    plain = stream.Tail._bytes

    def counted(self, offset, count):
        reads.append(offset)
        return plain(self, offset, count)

    monkeypatch.setattr(stream.Tail, "_bytes", counted)

    async def work():
        tails = stream.Tails()
        tasks = [
            asyncio.create_task(
                some(of_job(tmp_path, tails=tails), lambda f: iterations(f)[-1:] == [50])
            )
            for _ in range(20)
        ]
        await asyncio.sleep(0.2)
        events(tmp_path, display(50, 1.0))
        found = await asyncio.gather(*tasks)
        await asyncio.sleep(0)
        return found, len(tails), asyncio.all_tasks() - {asyncio.current_task()}

    found, left, tasks = asyncio.run(work())
    assert all(iterations(one) == list(range(51)) for one in found)
    assert len(reads) <= 3
    assert left == 0 and tasks == set()  # nothing looks when nobody watches


def test_messages_are_no_more_than_two_a_second(tmp_path, monkeypatch):
    monkeypatch.undo()
    assert stream.EVERY_S == 0.5


@pytest.mark.parametrize(
    "asked, last, begin",
    [
        ("", None, (None, None)),
        ("5", None, (5, None)),
        ("5", "7", (7, None)),
        ("0", "7:9", (7, 9)),
        ("-1", None, (None, None)),
        ("x", "y:z", (None, None)),
        ("9" * 30, None, (None, None)),
        ("٣", None, (None, None)),
    ],
)
def test_where_to_begin(asked, last, begin):
    assert stream.start(asked, last) == begin


def test_a_slow_viewer_gets_what_is_new_once(monkeypatch):
    async def work():
        board = stream.Board()
        calls = []
        messages = board.messages(lambda: calls.append("in"), lambda: calls.append("out"))
        await anext(messages)
        for i in range(1000):
            board.post("job", "a", {"done": i})
        board.post("job", "b", {"done": 0})
        board.post("gone", "b", "b")
        text = await anext(messages)
        await messages.aclose()
        return text.decode(), calls, len(board), board.some.is_set()

    text, calls, viewers, some_look = asyncio.run(work())
    assert text.count("event: job") == 1 and '"done":999' in text
    assert text.count("event: gone") == 1
    assert calls == ["in", "out"] and viewers == 0 and not some_look


def test_what_a_viewer_is_sent_is_no_more_than_two_lines_of_data():
    text = stream.message("log", {"text": "a\nb\r\n\n\u2028event: x\n"}).decode()
    assert text.count("\n") == 3 and text.endswith("\n\n")
    with contextlib.suppress(ValueError):
        stream.message("x", float("nan"))
        raise AssertionError("NaN is no JSON")


def test_a_status_that_was_replaced_twice_between_two_looks_is_sent(tmp_path):
    """The second file may be given the inode that the first one had."""
    status = tmp_path / "status.json"
    status.write_text("[1]")
    tails = stream.Tails()

    async def replace(found):
        spare = os.stat(status)
        os.link(status, tmp_path / "kept")  # so that its inode comes back
        for text in ("[2]", "[3]"):
            (tmp_path / "new").write_text(text)
            os.replace(tmp_path / "new", status)
        os.replace(tmp_path / "kept", status)
        assert os.stat(status).st_ino == spare.st_ino
        status.write_text("[4]")

    async def look():
        messages = of_job(tmp_path, tails=tails, status=lambda: json.loads(status.read_text()))
        found = []
        async for message in messages:
            if not message.startswith(b":"):
                found.append(json.loads(parsed(message)["data"]))
            if len(found) == 1:
                await replace(found)
            if found[-1:] == [[4]]:
                await messages.aclose()
                return found

    assert asyncio.run(asyncio.wait_for(look(), 10))[-1] == [4]
