"""The shared library: found and opened, or refused with a reason; calls; handles."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.engines.cudnn import api, library
from minidl.engines.cudnn.descriptors import Activation, Filter, Tensor
from minidl.engines.cudnn.library import CudnnError
from minidl.engines.request import Declined
from tests import fakegpu
from tests.engines.cudnn import headers
from tests.fakegpu import cudnn as fake_cudnn
from tests.support import ROOT


def find_anew() -> library.Library | Declined:
    library._opened.cache_clear()
    return library.opened()


def refusal() -> str:
    found = find_anew()
    assert isinstance(found, Declined)
    return found.reason


# ------------------------------------------------------------------ found and opened


def test_nothing_is_opened_by_an_import():
    modules = sorted(p.stem for p in (ROOT / "minidl/engines/cudnn").glob("[!_]*.py"))
    lines = [f"import minidl.engines.cudnn.{name}" for name in modules]
    lines.append("print('cudnn.so' in open('/proc/self/maps').read(), 'cupy' in sys.modules)")
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + "\n".join(lines)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "False False", done.stderr


def test_the_environment_names_the_library(cudnn):
    found = find_anew()
    assert (found.path, found.version, found.major) == (str(cudnn.path), "9.28.0", 9)


@pytest.mark.parametrize("number, version", [("8907", "8.9.7"), ("91002", "9.10.2")])
def test_versions_8_and_9_will_do(cudnn, monkeypatch, number, version):
    monkeypatch.setenv("FAKE_CUDNN_VERSION", number)
    assert find_anew().version == version


@pytest.fixture
def no_variable(monkeypatch):
    """Nothing is named, nothing is installed: a test puts in what is to be found."""

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    def unknown(name, *args, **kwargs):
        raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    monkeypatch.delenv(library.VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)  # importing it fails
    monkeypatch.setattr(importlib.metadata, "files", absent)
    monkeypatch.setattr(importlib.metadata, "version", absent)
    monkeypatch.setattr(ctypes, "CDLL", unknown)
    yield monkeypatch
    library._opened.cache_clear()


def test_nvidias_finder_is_asked_first(no_variable):
    finder = SimpleNamespace(
        load_nvidia_dynamic_lib=lambda name: SimpleNamespace(abs_path=f"/its/lib{name}.so.9")
    )
    no_variable.setitem(sys.modules, "cuda.pathfinder", finder)
    assert library._find("") == "/its/libcudnn.so.9"


@pytest.mark.parametrize("cupy, expected", [("cupy-cuda12x", "cu12"), ("cupy-cuda13x", "cu13")])
def test_the_wheel_is_found_without_it(no_variable, tmp_path, cupy, expected):
    """Of two wheels that of CuPy's CUDA; the finder finds none where something else is missing."""

    def files(package):
        path = tmp_path / package / "libcudnn.so.9"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return [SimpleNamespace(name=path.name, locate=lambda: path)]

    def version(package):
        if package != cupy:
            raise importlib.metadata.PackageNotFoundError(package)
        return "14.2"

    def not_found(name):
        raise RuntimeError("libcublasLt.so.13: no such file")

    finder = SimpleNamespace(load_nvidia_dynamic_lib=not_found)
    no_variable.setitem(sys.modules, "cuda.pathfinder", finder)
    no_variable.setattr(importlib.metadata, "files", files)
    no_variable.setattr(importlib.metadata, "version", version)
    found = library._find("")
    assert Path(found).parent.name == f"nvidia-cudnn-{expected}"


def test_the_system_may_have_one(no_variable):
    def only_8(name):
        if name != "libcudnn.so.8":
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    no_variable.setattr(ctypes, "CDLL", only_8)
    assert library._find("") == "libcudnn.so.8"


# ------------------------------------------------------------------ refused


def test_there_is_none(no_variable):
    expected = "there is no libcudnn.so.9 (or .8) here: pip install nvidia-cudnn-cu13, or set"
    assert refusal() == f"{expected} MINIDL_CUDNN_LIB to one"


def test_there_is_none_for_the_cupy_that_is_there(no_variable):
    no_variable.setattr(importlib.metadata, "version", lambda name: "14.2")
    assert "pip install nvidia-cudnn-cu12" in refusal()


def test_a_path_that_is_not_there(no_variable):
    no_variable.setenv(library.VARIABLE, "/nowhere/libcudnn.so.9")
    expected = "MINIDL_CUDNN_LIB is /nowhere/libcudnn.so.9, not a file: set it to a"
    assert refusal() == f"{expected} libcudnn.so.9, or unset it"


def test_a_file_that_is_no_library(monkeypatch, tmp_path):
    (tmp_path / "libcudnn.so.9").write_text("not a library")
    monkeypatch.setenv(library.VARIABLE, str(tmp_path / "libcudnn.so.9"))
    assert "libcudnn.so.9 cannot be opened: " in refusal()


def test_one_that_lacks_what_it_needs(no_variable):
    def no_cublas(name):
        raise OSError("libcublas.so.12: cannot open shared object file: No such file or directory")

    no_variable.setattr(ctypes, "CDLL", no_cublas)
    assert refusal().startswith("libcudnn.so.9 cannot be opened: libcublas.so.12: cannot open")


def test_a_library_that_is_another_one(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, sys.executable)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: object())
    assert "is not cuDNN: it has no cudnnGetVersion; pip install nvidia-cudnn-" in refusal()
    assert refusal().endswith("and unset MINIDL_CUDNN_LIB")


@pytest.mark.parametrize("number, version", [("7605", "7.6.5"), ("100000", "10.0.0")])
def test_a_library_of_another_time(cudnn, monkeypatch, number, version):
    monkeypatch.setenv("FAKE_CUDNN_VERSION", number)
    assert f"is cuDNN {version}; minidl needs version 9 or 8: pip install" in refusal()


def test_a_library_that_lacks_a_function(cudnn, monkeypatch):
    monkeypatch.setitem(api.SIGNATURES, "cudnnPoolingSideways", "h")
    expected = "is cuDNN 9.28.0 without cudnnPoolingSideways, which complete builds of versions 8"
    assert expected in refusal()


# ------------------------------------------------------------------ calls


def test_a_refused_call_says_what_the_library_says(cudnn):
    with pytest.raises(CudnnError) as error:
        Tensor((2, 3, 5, -7))
    assert str(error.value) == (
        "cudnnSetTensorNdDescriptor failed with status 2000, CUDNN_STATUS_BAD_PARAM: "
        "dimA[3] is -7, below 1"
    )
    assert not error.value.unsupported


def test_version_8_says_its_status_only(cudnn, monkeypatch):
    monkeypatch.setenv("FAKE_CUDNN_VERSION", "8907")
    found = find_anew()
    found._last_error = None  # a symbol of version 9
    with pytest.raises(CudnnError, match=r"with status 3, CUDNN_STATUS_BAD_PARAM$"):
        Tensor((2, 3, 5, -7))


@pytest.mark.parametrize("number, status", [("92800", 3000), ("8907", 9)])
def test_what_is_not_supported_is_told_from_what_is_wrong(cudnn, monkeypatch, number, status):
    monkeypatch.setenv("FAKE_CUDNN_VERSION", number)
    find_anew()
    with pytest.raises(CudnnError) as error:
        Tensor((1,) * 9)
    assert error.value.unsupported and error.value.status == status


def test_a_number_that_has_no_room_is_not_supported(cudnn):
    with pytest.raises(CudnnError, match="2147483648 does not fit into the 32 bits") as error:
        Tensor((2, 2**15, 2**16, 1))
    assert error.value.unsupported and error.value.function == "cudnnSetTensorNdDescriptor"


def test_arguments_of_a_wrong_kind_do_not_reach_the_library(cudnn, gpu):
    device, found = Device("cuda:0"), library.cudnn()
    x, filters, relu = Tensor((1, 1, 1, 1)), Filter((1, 1, 1, 1)), Activation(api.ACTIVATION_RELU)
    right = {"desc": relu, "alpha": api.ONE, "x": x, "address": 0, "beta": api.ZERO, "y": x}
    with device.current():
        handle, array = found.handle(device), device.zeros((1,), np.float32)

    def call(**wrong):
        args = {**right, **wrong}
        address = args.pop("address")
        found.call("cudnnActivationForward", handle, *args.values(), address)

    wrongs = {"desc": 7, "alpha": 1.0, "x": filters, "address": array, "beta": None, "y": 1.5}
    for name, value in wrongs.items():
        if value is not None:
            with pytest.raises((ctypes.ArgumentError, TypeError)):
                call(**{name: value})
    with pytest.raises(TypeError):
        found.call("cudnnActivationForward", handle)


# ------------------------------------------------------------------ what the C sources say


def expected_signatures() -> dict[str, str]:
    return {name: codes.replace(" ", "") for name, codes in api.SIGNATURES.items()}


def test_the_fake_has_these_functions_with_these_arguments():
    sources = fake_cudnn.HERE.glob("*.cpp")
    kinds = {"Tensor": "t", "Filter": "w", "Convolution": "c"}
    kinds |= {"Pooling": "p", "LRN": "n", "Activation": "a"}
    macro = {f"cudnnCreate{kind}Descriptor": code.upper() for kind, code in kinds.items()}
    macro |= {f"cudnnDestroy{kind}Descriptor": code for kind, code in kinds.items()}
    found = headers.signatures(headers.text(sources)) | macro
    assert {name: found.get(name) for name in api.SIGNATURES} == expected_signatures()


@pytest.fixture
def header(real) -> str:
    """cuDNN's own headers, from the wheel that the library is in."""
    folder = Path(real.path).resolve().parent.parent / "include"
    files = sorted(folder.glob("cudnn_*_v9.h"))
    if not files:
        pytest.skip(f"{real.path} comes without headers")
    return headers.text(files)


def test_the_headers_have_these_functions_with_these_arguments(header):
    found = headers.signatures(header)
    assert {name: found.get(name) for name in api.SIGNATURES} == expected_signatures()


def test_the_headers_have_these_numbers(header):
    found = headers.constants(header)
    ours = {name: value for name, value in vars(api).items() if isinstance(value, int)}
    ours |= {f"DATA_{name}": ours.pop(name) for name in ("FLOAT", "HALF", "BFLOAT16")}
    ours |= {f"TENSOR_{name}": ours.pop(name) for name in ("NCHW", "NHWC")}
    ours["STATUS_SUCCESS"] = ours.pop("SUCCESS")
    for name in ("MAX_AXES", "LRN_MIN_N", "LRN_MAX_N"):
        del ours[name]  # macros, not enumerators
    assert {name: found.get(name) for name in ours} == ours
    for names, way in [
        (api.FORWARD_ALGORITHMS, "FWD_ALGO_{}"),
        (api.BACKWARD_DATA_ALGORITHMS, "BWD_DATA_ALGO_{}"),
        (api.BACKWARD_FILTER_ALGORITHMS, "BWD_FILTER_ALGO_{}"),
    ]:
        for number, name in enumerate(names):
            theirs = name.removeprefix("algo").upper()
            assert found[f"CONVOLUTION_{way.format(theirs)}"] == number


def test_a_result_is_as_large_as_in_c():
    """Two ints, a float and a gap before the size_t; then two ints and three reserved ones."""
    assert ctypes.sizeof(api.Perf) == 48
    assert (api.Perf.memory.offset, api.Perf.determinism.offset) == (16, 24)


# ------------------------------------------------------------------ handles


def bound(found, handle):
    found._dll.fake_cudnn_stream.restype = ctypes.c_void_p
    return found._dll.fake_cudnn_stream(handle) or 0


def test_a_handle_follows_the_current_stream(cudnn, gpu):
    device, found = Device("cuda:0"), library.cudnn()
    other = device.xp.cuda.Stream()
    with device.current():
        handle = found.handle(device)
        assert bound(found, handle) == device.stream.ptr
        with other:
            assert found.handle(device) is handle
            assert bound(found, handle) == other.ptr
        found.handle(device)
        assert bound(found, handle) == device.stream.ptr


def test_every_device_has_its_handle(monkeypatch):
    gpu = fakegpu.install(monkeypatch, devices=2)
    fake = fake_cudnn.install(monkeypatch, gpu)
    devices, found = [Device("cuda:0"), Device("cuda:1")], library.cudnn()
    handles = []
    for device in devices:
        with device.current():
            handles.append(found.handle(device))
    assert handles[0] is not handles[1]
    fake.close()


def test_a_library_without_a_gpu_says_so(cudnn, gpu, monkeypatch):
    monkeypatch.setenv("FAKE_CUDNN_NO_GPU", "1")
    device = Device("cuda:0")
    with pytest.raises(CudnnError, match="CUDNN_STATUS_NOT_INITIALIZED: no CUDA device"):
        library.cudnn().handle(device)
