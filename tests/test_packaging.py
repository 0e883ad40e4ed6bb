"""What a wheel and an sdist hold, and that minidl runs from a wheel as from a plain checkout."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT

pytest.importorskip("setuptools", "77", reason="setuptools 77 or newer builds the wheel")

FILES = ["setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md"]
FOLDERS = ["minidl", "proto", "zoo", "tests"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the sources: a build leaves folders behind, and must not find older ones."""
    copy = tmp_path_factory.mktemp("checkout") / "minidl-sources"
    copy.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def wheel(checkout) -> Path:
    return built(checkout, "wheel")


def built(checkout: Path, kind: str) -> Path:
    code = f"from setuptools import build_meta; build_meta.build_{kind}('dist')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = (checkout / "dist").glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


def python(*args: str, cwd: Path, path: Path | None = None) -> str:
    """Output of this interpreter, which finds minidl in `path` or, without it, in `cwd` only."""
    environment = dict(os.environ, PYTHONPATH=str(path or cwd))
    done = subprocess.run(
        [sys.executable, *args], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked(folder: str, *suffixes: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_all_modules_kernels_the_schema_and_the_zoo(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    beside = tracked("proto", ".proto", ".desc") | tracked("zoo", ".prototxt", ".md")
    expected = tracked("minidl", ".py", ".cu", ".cuh") | {f"minidl/{name}" for name in beside}
    assert expected - names == set()
    assert {"minidl/proto/minidl.desc", "minidl/zoo/lenet/digits_solver.prototxt"} <= names


def test_the_wheel_claims_no_other_top_level_name(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"minidl"}


def test_metadata(wheel):
    archive = zipfile.ZipFile(wheel)
    info = next(n.split("/")[0] for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    version = python("-c", "import minidl; print(minidl.__version__)", cwd=ROOT).strip()
    assert (metadata["Name"], metadata["Version"]) == ("minidl", version)
    assert metadata["Requires-Python"] == ">=3.10"
    required = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    [engine] = [r for r in required if r.startswith("onednn")]
    assert 'sys_platform == "linux"' in engine and "x86_64" in engine
    required.remove(engine)
    assert sorted(r.split(">")[0].split("<")[0] for r in required) == [
        "lmdb",
        "numpy",
        "protobuf",
        "tqdm",
    ]
    assert {"digits", "images", "test", "bench"} <= set(metadata.get_all("Provides-Extra"))
    assert "minidl = minidl.cli:main" in archive.read(f"{info}/entry_points.txt").decode()


def test_minidl_runs_from_an_unpacked_wheel(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    where = python("-c", "import minidl.schema; print(minidl.__file__)", cwd=tmp_path, path=site)
    assert Path(where.strip()).is_relative_to(site)
    solver = site / "minidl" / "zoo" / "lenet" / "lenet_deploy.prototxt"
    table = python("-m", "minidl", "check", str(solver), cwd=tmp_path, path=site)
    assert "431,080" in table


def test_minidl_runs_from_a_plain_checkout(checkout):
    table = python("-m", "minidl", "check", "zoo/lenet/lenet_deploy.prototxt", cwd=checkout)
    assert "431,080" in table


def test_the_sdist_can_build_the_wheel_and_run_the_tests(checkout):
    with tarfile.open(built(checkout, "sdist")) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    expected = set(FILES) | tracked("zoo", ".prototxt", ".md")
    for folder in ("minidl", "proto", "tests"):
        expected |= tracked(folder, ".py", ".cu", ".cuh", ".proto", ".desc")
    assert expected - names == set()
