"""examples/ and the README's code, run on a LeNet that has learned for a moment; the links."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import ROOT, shared

EXAMPLES = {path.name for path in (ROOT / "examples").glob("*.py")}
EXAMPLES -= {"notebooks.py"}  # writes the others as notebooks: tests/test_notebooks.py
ITERATIONS = 60
WEIGHTS = f"runs/lenet_digits/lenet_iter_{ITERATIONS}.caffemodel"


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
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


def example(name: str, *words: str, cwd: Path) -> str:
    """What an example prints."""
    done = run(f"examples/{name}", *map(str, words), cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here():
    named = set(re.findall(r"\w+\.py", Path(__file__).read_text("utf-8")))
    assert EXAMPLES <= named


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
    done = run("examples/misread.py", WEIGHTS, cwd=workplace)
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


def test_lenet_learns_step_by_step(workplace):
    text = example("learning_lenet.py", "64", cwd=workplace)
    before = float(re.search(r"loss before learning (\S+),", text).group(1))
    accuracies = [float(found) for found in re.findall(r"accuracy (\S+)", text)]
    assert before == pytest.approx(np.log(10), rel=0.1)
    assert len(accuracies) == 7 and accuracies[0] < 0.5 < 0.9 < accuracies[-1]
    assert "iteration   64" in text


def test_surgery_changes_shapes_and_no_answer(workplace):
    text = example("net_surgery.py", WEIGHTS, cwd=workplace)
    assert "ip1: (500, 800) becomes (500, 50, 4, 4)" in text
    assert "(1, 1, 28, 224) gives answers (1, 10, 1, 50)" in text
    assert float(re.search(r"difference .*: (\S+)", text).group(1)) < 1e-5
    truth = re.search(r"the line +(.*)", text).group(1).split()
    read = re.search(r"it reads +(.*)", text).group(1).split()
    assert sum(a == b for a, b in zip(truth, read, strict=True)) >= 6


def test_given_weights_help_where_data_is_scarce(workplace):
    text = example("fine_tuning.py", WEIGHTS, "20", cwd=workplace)
    tuned, scratch = (float(found) for found in re.findall(r"  (0\.\d+)", text))
    assert tuned > scratch and tuned > 0.7


def test_an_autoencoder_learns(workplace):
    text = example("autoencoder.py", "20", cwd=workplace)
    entropy = [float(found) for found in re.findall(r"cross entropy (\S+)", text)]
    grey = 784 * np.log(2)  # what a net that always says 1/2 pays
    assert len(entropy) == 4 and entropy[-1] < entropy[0] < grey / 2
    assert "code 30 numbers, for 784 pixels" in text


def test_a_siamese_net_learns_what_is_alike(workplace):
    text = example("siamese.py", "60", cwd=workplace)
    assert float(re.search(r"digits (\S+) are", text).group(1)) > 0.3  # by lot: 0.1
    assert (workplace / "digits.png").stat().st_size > 1000


def test_a_hidden_layer_bends_the_plane(workplace):
    pytest.importorskip("h5py", reason="h5py is not installed")
    text = example("logistic_regression.py", "100", cwd=workplace)
    plane, bent = (float(found) for found in re.findall(r" (0\.\d+) of 1000", text))
    assert 0.7 < plane < 0.85 < bent


def test_a_loss_in_python_is_the_built_in_one(workplace):
    text = example("python_layer.py", cwd=workplace)
    pairs = re.findall(r"loss (\S+)  the built-in layer's (\S+)", text)
    assert len(pairs) == 4 and all(ours == theirs for ours, theirs in pairs)
    assert text.endswith("y = 3.000 x -2.000\n")


def test_squeezenet_takes_a_clock_for_a_clock(workplace):
    text = example("classification.py", shared("models/squeezenet_v1.0"), cwd=workplace)
    assert re.findall(r"class +(\d+)", text)[:2] == ["409", "892"]  # analog clock, wall clock


def test_faces_are_found_where_they_were_drawn(workplace):
    models = shared("models/mtcnn_det1").parent
    text = example("faces.py", models, cwd=workplace)
    found = re.findall(r"x (\d+) to (\d+), y (\d+) to (\d+), score (\S+)", text)
    centres = sorted(((int(a) + int(b)) / 2, (int(c) + int(d)) / 2) for a, b, c, d, _ in found)
    np.testing.assert_allclose(centres, [(160, 165), (370, 190)], atol=12)
    assert (workplace / "faces.png").exists()


def test_vdsr_sharpens(workplace):
    text = example("super_resolution.py", shared("models/vdsr"), cwd=workplace)
    before, after = (float(found) for found in re.findall(r"(\S+) dB", text))
    assert after > before + 3
    assert (workplace / "super_resolution.png").exists()


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
