"""Who may import whom: docs/architecture.md's rules, read from the source with `ast`."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGE = ROOT / "minidl"

# The rooms of the house: a folder or a module of minidl/. One imports from the lines below its own,
# never from its own line or above; what only a type checker sees counts, too.
LEVELS = """
    cli
    minidl caffe
    pycaffe profile evaluation
    classifier detector coord_map solver onnx
    net spec testing
    layers io preprocess
    data prototxt web
    engines storage caffe_pb2
    arrays schema draw runs
    errors ops
"""
LEVEL = {unit: i for i, line in enumerate(LEVELS.strip().splitlines()) for unit in line.split()}

DATA_LAYERS = [
    f"minidl.layers.{name}"
    for name in (
        "data dense_image_data detection.detectnet hdf5_data image_data image_reader memory_data"
        " annotated_data pose_image_data reader window_data"
    ).split()
]

# What the order alone does not say: unit -> the only modules that may import it.
RESERVED = {
    "testing": ("minidl.testing", "minidl.cli.gradcheck"),
    "data": (
        "minidl.data",
        *DATA_LAYERS,
        "minidl.io",
        "minidl.preprocess",
        "minidl.evaluation",
        "minidl.cli",
    ),
    "cupy": ("minidl.arrays.device", "minidl.engines"),
    "mpi4py": ("minidl.parallel.mpi",),
}

# Needed by some commands only: imported where they are used, so that `import minidl` stays quick
# and works without them.
OPTIONAL = set(
    "lmdb tqdm PIL sklearn h5py safetensors cramjam scipy cupy mpi4py torch onnx".split()
)


SOURCES = sorted(PACKAGE.rglob("*.py"))
UNITS = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in SOURCES}
UNITS = (UNITS - {"__init__", "__main__"}) | {"minidl"}
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(name: str) -> str:
    """'layers' for minidl.layers.lrn, 'minidl' for the package and its public names."""
    first = name.split(".")[1:2]
    if first == ["__main__"]:
        return "cli"  # whose door it is
    return first[0] if first and (first[0] in LEVEL or first[0] in UNITS) else "minidl"


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of all that a module imports, relative names made absolute.

    Inside functions and under `if TYPE_CHECKING` as well: a circle is one there, too.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                home = module.split(".")[: None if is_package else -1]
                home = home[: len(home) - (node.level - 1)]
                base = ".".join([*home, base] if base else home)
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def refusal(module: str, imported: str) -> str:
    """Why `module` must not import `imported`; '' where it may."""
    inside = imported.split(".")[0] == "minidl"
    mine = module.split(".")[1] if "." in module else "minidl"
    mine = "cli" if mine == "__main__" else mine
    theirs = unit_of(imported) if inside else imported.split(".")[0]
    allowed = RESERVED.get(theirs)
    if allowed and not any(f"{module}.".startswith(f"{name}.") for name in allowed):
        return f"{theirs} is for {', '.join(allowed)} only"
    if not inside or mine == theirs:
        return ""
    missing = [unit for unit in (mine, theirs) if unit not in LEVEL]
    if missing:
        return f"{missing[0]} has no place in tests/test_architecture.py yet"
    if LEVEL[theirs] <= LEVEL[mine]:
        above = [unit for unit in LEVEL if LEVEL[unit] < min(LEVEL[mine], LEVEL[theirs])]
        rooms = ", ".join(above) or "none there is"
        return f"{theirs} is not below {mine}; code that needs both belongs into one of: {rooms}"
    return ""


def breaches(source: str, path: Path) -> list[str]:
    module = module_name(path)
    place = path.relative_to(ROOT)
    found = imports(ast.parse(source), module, path.name == "__init__.py")
    return [
        f"{place}:{line}: {module} imports {imported}, but {why}"
        for imported, line in found
        if (why := refusal(module, imported))
    ]


def test_imports_point_downwards():
    found = [line for path in SOURCES for line in breaches(path.read_text("utf-8"), path)]
    assert not found, "\n" + "\n".join(found)


def test_optional_packages_are_imported_inside_functions():
    found = []
    for path in SOURCES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = ast.Module(body=[node], type_ignores=[])
                for name, line in imports(module, module_name(path), path.name == "__init__.py"):
                    if name.split(".")[0] in OPTIONAL:
                        found.append(f"{path.relative_to(ROOT)}:{line}: imports {name}")
    assert not found, "\n" + "\n".join(found)


def test_minidl_and_its_public_names_load_nothing_optional():
    names = "[getattr(minidl, name) for name in minidl.__all__]"
    code = f"import sys, minidl; {names}; print(*sorted({OPTIONAL!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_no_module_waits_for_one_that_waits_for_it():
    modules = {module_name(path) for path in SOURCES}
    needs: dict[str, set[str]] = {}
    for path in SOURCES:
        mine = module_name(path)
        tree = ast.parse(path.read_text("utf-8"))
        for name, _ in imports(tree, mine, path.name == "__init__.py"):
            while name and name not in modules:
                name = name.rpartition(".")[0]
            if not f"{mine}.".startswith(f"{name}."):  # a package is there before what is in it
                needs.setdefault(mine, set()).add(name)
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


def test_every_unit_has_its_place_and_every_place_its_unit():
    assert UNITS == set(LEVEL)


def test_the_house_has_few_floors_and_doors():
    assert len(set(LEVEL.values())) <= 10
    assert len(MODULES) <= 13, f"with __init__: {MODULES}"


def test_a_page_can_stand_on_run_folders_without_numpy():
    rooms = ("runs", "web")
    modules = ", ".join(module_name(path) for path in SOURCES if path.parent.name in rooms)
    code = f"import sys, {modules}; print(*{{'numpy', 'google.protobuf'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_page_shows_the_same_order():
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    shown, ours = page.split("```")[1].strip(), LEVELS.strip()
    assert [line.split() for line in shown.split("\n")] == [s.split() for s in ours.split("\n")]


# Of objects that are not ours: NumPy's arrays, the module os.
THEIRS = {"__array__", "shape", "register_at_fork"}


def test_nobody_guesses_what_a_layer_a_plan_or_an_engine_has():
    """Whatever the core asks for is declared in Layer, Plan or Engine, with a default."""
    found = []
    for path in SOURCES:
        if unit_of(module_name(path)) not in ("net", "engines", "solver"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            guess = node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) > 2)
            if (
                guess
                and isinstance(node.args[1], ast.Constant)
                and node.args[1].value not in THEIRS
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not found, "\n" + "\n".join(found)


BREACHES = {
    "upwards": ("layers/lrn.py", "import numpy\nfrom minidl.net import Net", 2, "net is not below"),
    "sideways": ("layers/lrn.py", "import minidl.net.graph", 1, "net is not below"),
    "public names": ("layers/lrn.py", "from minidl import Net", 1, "minidl is not below"),
    "relative": ("storage/mean.py", "from ..net import Net", 1, "net is not below"),
    "relative, a package": ("layers/__init__.py", "from .. import net", 1, "net is not below"),
    "for a type checker": (
        "arrays/blob.py",
        "if TYPE_CHECKING:\n    from minidl.net import Net",
        2,
        "code that needs both belongs into one of: cli, minidl, caffe, pycaffe,",
    ),
    "inside a function": (
        "arrays/blob.py",
        "def f():\n    import minidl.net",
        2,
        "net is not below",
    ),
    "data for one layer": ("layers/lrn.py", "from minidl.data import lmdb", 1, "data is for"),
    "cupy": ("layers/lrn.py", "import cupy", 1, "cupy is for minidl.arrays.device"),
    "testing": ("solver/loop.py", "from minidl.testing import gradcheck", 1, "testing is for"),
    "a new unit": ("novelty.py", "import minidl.errors", 1, "novelty has no place"),
}


@pytest.mark.parametrize("name, source, line, why", BREACHES.values(), ids=BREACHES.keys())
def test_a_breach_is_named_with_file_and_line(name, source, line, why):
    (message,) = breaches(source, PACKAGE / name)
    assert message.startswith(f"minidl/{name}:{line}: ")
    assert why in message


def test_downward_imports_pass():
    source = "from minidl import schema\nfrom .base import Layer\nimport minidl.arrays.blob, numpy"
    assert breaches(source, PACKAGE / "layers" / "lrn.py") == []
    assert breaches("import minidl.data.lmdb", PACKAGE / "layers" / "data.py") == []
