"""What is sent here and what is taken away: uploads, however broken; archives; DIGITS' routes."""

from __future__ import annotations

import gc
import io
import json
import struct
import tarfile
import zipfile
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.web import picture_size, scratch, upload
from tests.web.making import make


def png(width, height, more=b""):
    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IEND", b"")


def sent(client, *files):
    return client.post("/api/v1/upload", files=[("file", file) for file in files])


def test_pictures_prototxt_and_weights_are_kept(client, root):
    found = sent(
        client,
        ("My Cat.PNG", png(3, 2)),
        ("my-cat.png", png(5, 4)),
        ("net.prototxt", b"layer {}"),
        ("x.caffemodel", b"1234"),
    )
    assert found.status_code == 201
    files = found.json()["files"]
    assert [file.get("size") for file in files] == [[3, 2], [5, 4], None, None]
    assert found.json()["path"] == files[0]["path"]
    assert (root / files[2]["path"]).read_text() == "layer {}"
    assert len({file["path"] for file in files}) == 4
    assert all(file["path"].startswith(".minidl/uploads/") for file in files)


NAMES = [
    "../../evil.png",
    "/etc/evil.png",
    "..\\evil.png",
    "a\0b.png",
    ".png",
    "x" * 5000 + ".png",
    "-rf.png",
    "é ü.png",
    "CON.png",
    "a\nb.png",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_elsewhere(client, root, name):
    found = sent(client, (name, png(1, 1)))
    if found.status_code != 201:
        assert found.status_code < 500
        return
    path = (root / found.json()["path"]).resolve()
    assert root / ".minidl" / "uploads" in path.parents and path.is_file()
    assert path.name[0] not in ".-"


REFUSED = {
    "a program": ("x.exe", b"MZ", 422),
    "a page": ("x.html", b"<script>", 422),
    "a page called a picture": ("x.png", b"<script>", 422),
    "a picture called a page": ("x.html", png(1, 1), 422),
    "an SVG": ("x.svg", b"<svg/>", 422),
    "a picture of too many pixels": ("x.png", png(100_000, 100_000), 413),
    "a picture of none": ("x.png", png(0, 5), 413),
}


@pytest.mark.parametrize("name, data, status", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_leaves_nothing_behind(client, root, name, data, status):
    found = sent(client, ("good.png", png(1, 1)), (name, data))
    assert found.status_code == status
    uploads = root / scratch.UPLOADS
    assert not uploads.exists() or list(uploads.iterdir()) == []


def test_a_file_that_is_too_large_is_refused(client, monkeypatch):
    monkeypatch.setattr(upload, "LARGEST", 100)
    assert sent(client, ("x.prototxt", b"x" * 101)).status_code == 413
    assert sent(client, ("x.caffemodel", b"x" * 101)).status_code == 201


@pytest.fixture
def files_are_closed():
    """Starlette leaves files open where the parser below it fails; they are closed when collected:
    once, as a collection takes a second in a process that has run many tests."""
    yield
    gc.collect()


@pytest.mark.usefixtures("files_are_closed")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_body_however_broken_breaks_the_server(client, data):
    good = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + png(2, 2) + b"\r\n--B--\r\n"
    )
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body)))
        end = at + data.draw(st.integers(0, 10))
        body[at:end] = data.draw(st.binary(max_size=12))
    kind = data.draw(
        st.sampled_from(
            [
                "multipart/form-data; boundary=B",
                "multipart/form-data",
                "text/plain",
                "multipart/form-data; boundary=",
                "multipart/form-data; boundary=\xff",
            ]
        )
    )
    found = client.post(
        "/api/v1/upload", content=bytes(body), headers={"content-type": kind.encode("latin-1")}
    )
    assert found.status_code in (201, 400, 413, 422), found.text
    path = "/models/images/classification/classify_one.json"
    found = client.post(path, content=bytes(body), headers={"content-type": kind.encode("latin-1")})
    assert found.status_code in (400, 404, 413, 422), found.text


@given(st.binary(max_size=400))
def test_no_bytes_break_the_look_at_a_picture(data):
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF0000WEBPVP8X"):
        found = picture_size.size(head + data)
        assert found is None or len(found) == 2


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "PPM"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (300, 20)])
def test_the_size_of_a_picture_is_what_a_decoder_says(form, size):
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.new("RGB", size, (9, 99, 200)).save(file, form)
    assert picture_size.size(file.getvalue()) == size
    if form == "WEBP":
        file = io.BytesIO()
        image.new("RGBA", size, (9, 99, 200, 8)).save(file, form, lossless=True)
        assert picture_size.size(file.getvalue()) == size


@pytest.fixture
def run(root):
    data = make(root / "data" / "pets", "dataset")
    (data / "labels.txt").write_text("cat\ndog\n")
    (data / "mean.binaryproto").write_bytes(b"mean")
    facts = {
        "format": "minidl dataset 1",
        "size": [28, 32],
        "channels": 1,
        "labels": ["a", "b"],
        "splits": {"train": {"records": 9, "backend": "lmdb"}},
        "encoding": "",
    }
    (data / "dataset.json").write_text(json.dumps(facts))
    folder = make(root / "runs" / "a", needs={"data": "../../data/pets"})
    for name in (
        "solver.prototxt",
        "train_val.prototxt",
        "trained_net.prototxt",
        "preprocess.json",
    ):
        (folder / name).write_text(name * 1000)
    for i in (5, 10):
        (folder / f"net_iter_{i}.caffemodel").write_bytes(b"%d" % i * 300_000)
        (folder / f"net_iter_{i}.solverstate").write_bytes(b"state")
    (folder / "secret.key").write_text("secret")
    return folder


EXPECTED = {
    "solver.prototxt",
    "train_val.prototxt",
    "trained_net.prototxt",
    "preprocess.json",
    "job.json",
    "labels.txt",
    "mean.binaryproto",
    "dataset.json",
}


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
@pytest.mark.parametrize("snapshot", [None, 5])
def test_an_archive_has_all_that_the_run_has_become(client, run, form, snapshot):
    query = {"format": form} | ({"snapshot": snapshot} if snapshot else {})
    found = client.get("/api/v1/download/runs/a", params=query)
    assert found.headers["content-disposition"].endswith(f"a.{form}")
    data = io.BytesIO(found.content)
    if form == "zip":
        with zipfile.ZipFile(data) as archive:
            assert archive.testzip() is None
            files = {name: archive.read(name) for name in archive.namelist()}
    else:
        with tarfile.open(fileobj=data) as archive:
            files = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}
    weights = f"net_iter_{snapshot or 10}.caffemodel"
    assert set(files) == {f"a/{name}" for name in EXPECTED | {weights}}
    assert files[f"a/{weights}"] == (run / weights).read_bytes()
    assert files["a/labels.txt"] == b"cat\ndog\n"


def test_what_cannot_be_downloaded(client, run):
    assert client.get("/api/v1/download/runs/a?snapshot=7").status_code == 404
    assert client.get("/api/v1/download/runs/a?format=rar").status_code == 422
    (run / "trained_net.prototxt").unlink()
    assert client.get("/api/v1/download/runs/a?format=onnx").status_code == 404


def test_old_uploads_are_forgotten(root):
    import os
    import time

    old, new = scratch.folder(root), scratch.folder(root)
    os.utime(old, (1e9, 1e9))
    scratch.forget(root, time.time() - 60)
    assert not old.exists() and new.exists()


# ---------------------------------------------------------------------- DIGITS


def test_the_index_of_digits(run, client):
    found = client.get("/index.json").json()
    assert found["models"] == [{"id": "runs/a", "name": "a", "status": "Done"}]
    assert found["datasets"] == [{"id": "data/pets", "name": "pets", "status": "Done"}]
    assert found["version"] == "1.2"


def test_a_model_and_a_data_set_of_digits(client, run):
    found = client.get("/models/runs/a.json").json()
    assert found["snapshots"] == [5, 10] and found["snapshot file"] == "net_iter_10.caffemodel"
    assert found["dataset_id"] == "data/pets" and found["image dimensions"] == [28, 32]
    assert found["labels file"] == "labels.txt" and found["deploy file"] == "trained_net.prototxt"
    found = client.get("/datasets/data/pets.json").json()
    assert found["CreateDbTasks"][0]["entries"] == 9
    assert found["ParseFolderTasks"][0]["label_count"] == 2
    assert client.get("/datasets/runs/a.json").status_code == 404
    assert client.get("/models/nothing.json").status_code == 404
    assert client.get("/jobs/runs/a/status").json()["status"] == "Done"


@pytest.fixture
def classified(site, monkeypatch):
    """The commands that were asked, and an answer for each picture."""
    asked = []

    async def facts(*argv, **_):
        asked.append(argv)
        pictures = argv[1 : argv.index("--run")]
        return {
            "pictures": [{"name": p, "top": [["cat", 0.98765], ["dog", 0.01236]]} for p in pictures]
        }

    def ready():
        monkeypatch.setattr(site.asker, "facts", facts)
        return asked

    return ready


def test_classify_one_as_digits_does(client, run, classified):
    asked = classified()
    path = "/models/images/classification/classify_one.json"
    found = client.post(path, data={"job_id": "runs/a"}, files={"image_file": ("x.png", png(2, 2))})
    assert found.json() == {"predictions": [["cat", 98.77], ["dog", 1.24]]}
    (words,) = asked
    assert words[0] == "classify" and words[2:] == ("--run", "runs/a", "--json")
    form = {"job_id": "runs/a", "image_path": "data/pets/labels.txt", "snapshot_epoch": "5"}
    client.post(path, data=form)
    assert asked[1][-2:] == ("--snapshot", "5")
    for bad in (
        {"image_path": "http://example.org/x.png"},
        {"image_path": "/etc/passwd"},
        {},
        {"image_path": "data/pets/labels.txt", "snapshot_epoch": "99"},
    ):
        assert client.post(path, data={"job_id": "runs/a", **bad}).status_code in (403, 404, 422)
    assert len(asked) == 2


def test_classify_many_as_digits_does(client, run, classified):
    asked = classified()
    path = "/models/images/classification/classify_many.json"
    listed = b"labels.txt 3\nmean.binaryproto\n\nlabels.txt\n"
    form = {"job_id": "runs/a", "image_folder": "data/pets", "num_test_images": "2"}
    found = client.post(path, data=form, files={"image_list": ("l.txt", listed)}).json()
    assert list(found["classifications"]) == ["labels.txt", "mean.binaryproto"]
    assert asked[0][1:3] == ("data/pets/labels.txt", "data/pets/mean.binaryproto")
    assert client.post(path, data=form).status_code == 422
