"""The notebooks in examples/ are what examples/notebooks.py writes, and run from top to bottom."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

from tests.support import ROOT, shared
from tests.test_examples import WEIGHTS
from tests.test_examples import workplace as workplace  # the fixture: zoo, digits, a trained LeNet

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
WRITER = runpy.run_path(str(ROOT / "examples" / "notebooks.py"))

# The parameters of a short run, and what it prints, in part.
SHORT = {
    "autoencoder": ({"iterations": 8}, "code 30 numbers, for 784 pixels"),
    "classification": ({"model": "models/squeezenet_v1.0"}, "class 409"),
    "faces": ({"models": "models"}, "2 faces, drawn in faces.png"),
    "fine_tuning": ({"weights": WEIGHTS, "iterations": 5}, "after 5 iterations with 40 examples"),
    "learning_lenet": ({"iterations": 64}, "iteration   64"),
    "logistic_regression": ({"iterations": 40}, "40 hidden units"),
    "misread": ({"weights": WEIGHTS}, "of 360 misread"),
    "net_surgery": ({"weights": WEIGHTS}, "ip1: (500, 800) becomes (500, 50, 4, 4)"),
    "python_layer": ({}, "y = 3.000 x -2.000"),
    "siamese": ({"iterations": 10}, "of 360 other digits"),
    "softplus": ({}, "0.6931472"),
    "super_resolution": ({"model": "models/vdsr"}, "by the net    "),
}
MODELS = {
    "classification": ["squeezenet_v1.0"],
    "faces": ["mtcnn_det1", "mtcnn_det2", "mtcnn_det3"],
    "super_resolution": ["vdsr"],
}
PICTURES = {"faces", "siamese", "super_resolution"}


def committed(name: str):
    return nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)


def test_there_is_one_for_each_example_and_it_is_run_here():
    files = {path.stem for path in (ROOT / "examples").glob("*.ipynb")}
    assert files == set(WRITER["NAMES"]) == set(SHORT)


@pytest.mark.parametrize("name", SHORT)
def test_the_committed_notebook_is_what_the_program_writes(name):
    text = (ROOT / "examples" / f"{name}.ipynb").read_text(encoding="utf-8")
    assert text == WRITER["notebook"](name), "run: python examples/notebooks.py"


@pytest.mark.parametrize("name", SHORT)
def test_it_has_every_statement_of_the_script_in_order(name):
    script = ast.parse((ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8"))
    imports, command_line = (ast.Import, ast.ImportFrom), ast.If
    parts = [s for s in script.body[1:] if not isinstance(s, (*imports, command_line))]
    (main,) = (s for s in parts if getattr(s, "name", "") == "main")
    expected = [s for s in parts if s is not main] + main.body
    code = "\n".join(cell.source for cell in committed(name).cells if cell.cell_type == "code")
    found = iter([ast.dump(s) for s in ast.parse(code).body])
    lost = [ast.unparse(s) for s in expected if ast.dump(s) not in found]  # `in` moves on
    assert not lost


@pytest.mark.parametrize("name", SHORT)
def test_it_has_no_outputs_and_the_parameters_that_are_replaced_here(name):
    code = [cell for cell in committed(name).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    tagged = [cell.source for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assigned = {line.split(" = ")[0] for text in tagged for line in text.splitlines()}
    assert set(SHORT[name][0]) <= assigned and len(tagged) <= 1


@pytest.fixture
def kernels(workplace, tmp_path, monkeypatch) -> Path:
    """A checkout's folders, with an empty examples/ to start kernels in, and nobody's settings."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # or jupyter_core warns of a change to come
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    (workplace / "notebooks" / "examples").mkdir(parents=True, exist_ok=True)
    for name in ("zoo", "data", "runs"):
        if not (link := workplace / "notebooks" / name).exists():
            link.symlink_to(workplace / name)
    return workplace / "notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_it_runs_from_top_to_bottom(name, kernels):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    if name == "logistic_regression":
        pytest.importorskip("h5py", reason="h5py is not installed")
    for model in MODELS.get(name, []):
        link = kernels / "models" / model
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(shared(f"models/{model}"))

    values, expected = SHORT[name]
    notebook = committed(name)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += "".join(f"\n{key} = {value!r}" for key, value in values.items())
    start = str(kernels / "examples")  # where Jupyter starts the kernel of a notebook there
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": start}})
    client.execute()

    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert expected in "".join(out.text for out in outputs if out.output_type == "stream")
    shown = [out for out in outputs if "image/png" in out.get("data", {})]
    assert len(shown) == (name in PICTURES)
