"""Questions to commands: through the warm helper, and without it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from minidl.web.asker import Answer, Asker, Failed, errors, failure
from tests.support import ROOT
from tests.web.conftest import STUB

HELPER = (sys.executable, "-m", "minidl.cli.answers")
MINIDL = (sys.executable, "-m", "minidl")
NET = str(ROOT / "zoo" / "lenet" / "lenet_deploy.prototxt")


def asked(work, root, helper=HELPER, program=MINIDL):
    async def run():
        asker = Asker(program, helper, root)
        try:
            return await work(asker)
        finally:
            await asker.close()

    return asyncio.run(run())


@pytest.fixture(params=[HELPER, ()], ids=["helper", "no fork"])
def helper(request):
    if request.param and not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    return request.param


def test_an_answer_is_what_a_terminal_prints(root, helper):
    async def work(asker):
        return await asyncio.gather(
            asker.facts("check", NET, "--json"),
            asker.ask("check", "nowhere.prototxt"),
            asker.ask("--version"),
        )

    facts, refused, version = asked(work, root, helper)
    assert facts["net"] == "LeNet"
    assert refused.code == 2 and "nowhere.prototxt: there is no such file" in refused.err
    assert version.code == 0 and version.out.startswith("minidl ")


def test_commands_run_in_the_root(root):
    found = asked(lambda asker: asker.facts("ask", "--json"), root, (), STUB)
    assert found == {"argv": ["ask", "--json"], "cwd": str(root)}


def test_a_refusal_has_its_parts(root):
    with pytest.raises(Failed) as caught:
        asked(lambda asker: asker.facts("fail"), root, (), STUB)
    error = caught.value
    assert (error.found, error.where) == ("kernel_sze is unknown", "net.prototxt:3:7")
    assert error.fix == "kernel_size" and error.status == 422


def test_many_ask_at_once(root):
    async def work(asker):
        return await asyncio.gather(*(asker.ask("--version") for _ in range(12)))

    assert [one.code for one in asked(work, root)] == [0] * 12


def test_a_question_that_takes_too_long_is_ended(root):
    async def work(asker):
        slow = await asker.ask("run", str(root / "slow.py"), limit_s=1.0)
        after = await asker.ask("--version")
        return slow, after

    (root / "slow.py").write_text("import time; time.sleep(100)\n")
    slow, after = asked(work, root)
    assert slow.code == 137 and "too long" in slow.err
    assert after.code == 0


def test_a_helper_that_was_killed_is_started_again(root):
    async def work(asker):
        await asker.ask("--version")
        os.killpg(asker._process.pid, signal.SIGKILL)
        return await asker.ask("--version")

    assert asked(work, root).code == 0


def test_nothing_is_left_of_a_question(root):
    """No child, no helper: the process group is empty after the end."""

    async def work(asker):
        await asker.ask("--version")
        return asker._process.pid

    pid = asked(work, root)
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_several_errors_are_told_apart():
    text = (
        "minidl: warning: something\n"
        "minidl: error: a/net.prototxt:3:7: no field 'x'\n  expected: y\n  fix: did you mean 'z'?\n"
        "a/net.prototxt:9: Pooling layer 'pool1': too large\n  in two lines\n"
    )
    found = errors(Answer(2, "", text))
    assert [(e["line"], e["column"]) for e in found] == [(3, 7), (9, None)]
    assert found[0]["fix"] == "did you mean 'z'?" and found[0]["expected"] == "y"
    assert found[1]["text"] == "Pooling layer 'pool1': too large\nin two lines"
    assert failure(Answer(2, "", text)).more == {"errors": found}


@pytest.mark.parametrize(
    "text", ["", "\n", "Traceback (most recent call last):\n  File x\nKeyError"]
)
def test_a_command_that_says_nothing_sensible(text):
    assert failure(Answer(1, "", text)).found
