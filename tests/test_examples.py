"""examples/ and the README's code, run on a LeNet that has learned for a moment; the links."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

EXAMPLES = {path.name for path in (ROOT / "examples").glob("*.py")}
ITERATIONS = 60


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with the zoo, the digits, and what a short `minidl train` left."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "zoo").symlink_to(ROOT / "zoo")
    (folder / "examples").symlink_to(ROOT / "examples")
    for words in (
        ["dataset", "digits"],
        ["train", "zoo/lenet/digits_solver.prototxt", "--set", f"max_iter={ITERATIONS}"]
        + ["--set", f"test_interval={ITERATIONS}"],
    ):
        done = run("-m", "minidl", *words, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def test_every_example_is_run_here():
    assert EXAMPLES == {"accuracy.py", "misread.py", "softplus.py"}


def test_accuracy_reports_the_last_test_and_the_weights(workplace):
    done = run("examples/accuracy.py", "runs/lenet_digits", "--at-least", "0.5", cwd=workplace)
    assert done.returncode == 0, done.stderr
    line = r"test accuracy ([01]\.\d{4}) after 60 iterations, weights in (\S+)\n"
    accuracy, weights = re.fullmatch(line, done.stdout).groups()
    assert 0.8 < float(accuracy) <= 1
    assert (workplace / weights).stat().st_size > 4 * 431_080


def test_accuracy_fails_below_the_bound(workplace):
    done = run("examples/accuracy.py", "runs/lenet_digits", "--at-least", "1.01", cwd=workplace)
    assert done.returncode == 1
    assert "below 1.01" in done.stderr


def test_misread_draws_what_the_net_gets_wrong(workplace):
    weights = f"runs/lenet_digits/lenet_iter_{ITERATIONS}.caffemodel"
    done = run("examples/misread.py", weights, cwd=workplace)
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^a (\d), read as (\d)$", done.stdout, re.MULTILINE)
    assert done.stdout.endswith(f"{len(shown)} of 360 misread\n")
    assert shown and all(label != answer for label, answer in shown)
    accuracy = run("examples/accuracy.py", "runs/lenet_digits", cwd=workplace).stdout.split()[2]
    assert 1 - len(shown) / 360 == pytest.approx(float(accuracy), abs=1e-4)


def test_softplus_is_checked_and_used(workplace):
    done = run("examples/softplus.py", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "0.6931472" in done.stdout


def test_gradcheck_takes_a_layer_from_a_file(workplace):
    net = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "soft" type: "Softplus" bottom: "x" top: "y" }'
    )
    (workplace / "soft.prototxt").write_text(net)
    words = ["gradcheck", "--import", "examples/softplus.py", "soft.prototxt"]
    done = run("-m", "minidl", *words, cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "Softplus" in done.stdout


def test_the_readmes_python_runs_and_its_comments_are_true(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
        for code, value in re.findall(r"^(\S.*?) +# ([\[(].*)$", block, re.MULTILINE):
            assert eval(code, names) == ast.literal_eval(value), code
    assert len(blocks) == 2


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("zoo/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    broken = [link for link in links if not (page.parent / link).exists()]
    assert not broken
