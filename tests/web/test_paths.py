"""Names from outside: none leads out of the folders that are served."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import MinidlError
from minidl.web import paths
from minidl.web.problems import Forbidden, NotFound, Refused
from tests.web.making import make

OUTSIDE = [
    "..",
    "../secret",
    "a/../../secret",
    "/etc/passwd",
    "//etc/passwd",
    "..\\secret",
    "a\\b",
    "link/secret",
    "a/up/secret",
]
BROKEN = ["a\0b", "a\nb", "a\x7f", "a" * 2000]


@pytest.fixture
def place(tmp_path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "file.txt").write_text("inside")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "secret").write_text("secret")
    (root / "link").symlink_to(secret)
    (root / "a" / "up").symlink_to("../../secret")
    (root / "a" / "good").symlink_to("file.txt")
    (root / "circle").symlink_to("circle")
    return root.resolve()


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_lies_outside_is_forbidden(place, name):
    with pytest.raises(Forbidden):
        paths.inside(place, name)


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_name_is_refused(place, name):
    with pytest.raises(Refused):
        paths.inside(place, name)
    with pytest.raises(Refused):
        paths.readable([place], name, place)


def test_what_lies_inside_is_found_even_through_a_link(place):
    assert paths.inside(place, "a/../a/file.txt") == place / "a" / "file.txt"
    assert paths.file_of(place, "a/good") == place / "a" / "file.txt"


def test_a_circle_of_links_is_no_file(place):
    with pytest.raises(Refused):
        paths.file_of(place, "circle")


@pytest.mark.parametrize("name", ["", ".", "a/", "/a", "a//b", "nothing", ".minidl", "a/file.txt"])
def test_what_is_no_job_is_not_found(place, name):
    (place / ".minidl").mkdir()
    with pytest.raises((NotFound, Forbidden)):
        paths.job_folder(place, name)


@given(st.text(max_size=40))
def test_no_text_leads_outside(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp().resolve() / "inner"
    root.mkdir(exist_ok=True)
    try:
        found = paths.inside(root, text)
    except MinidlError:
        return
    assert found == root or root in found.parents


def test_forms_read_below_the_data_roots_only(place, tmp_path):
    data = tmp_path / "secret"
    assert paths.readable([place, data.resolve()], str(data / "secret"), place).read_text()
    with pytest.raises(Forbidden, match="data-root"):
        paths.readable([place], str(data / "secret"), place)
    with pytest.raises(NotFound):
        paths.readable([place], "a/nothing", place)
    with pytest.raises(Forbidden):
        paths.readable([place], "~", place)


def test_free_folders_are_never_taken_twice(tmp_path):
    names = [paths.free(tmp_path / "runs", "net").name for _ in range(3)]
    assert names == ["net", "net-2", "net-3"]


@given(st.text(max_size=100))
def test_a_slug_is_the_name_of_a_folder(text):
    found = paths.slug(text)
    assert found and len(found) <= 60 and found[0] not in ".-"
    assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in found)


ATTACKS = [
    "/api/v1/file/runs/a/../../../secret",
    "/api/v1/file/runs/a/..%2f..%2f..%2fsecret",
    "/api/v1/file/runs/a/%2e%2e/%2e%2e/secret",
    "/api/v1/file/runs/a//etc/passwd",
    "/api/v1/file/runs/a/%2fetc%2fpasswd",
    "/api/v1/file/runs/a/out",
    "/api/v1/file/runs/a/x%00.png",
    "/api/v1/file/runs/a/..%5c..%5csecret",
    "/api/v1/job/..",
    "/api/v1/job/%2e%2e%2f%2e%2e",
    "/api/v1/job/.minidl",
    "/api/v1/log/runs/a?file=../../../secret",
    "/api/v1/log/runs/a?file=/etc/passwd",
    "/api/v1/samples/runs/a?iter=-1",
    "/static/../site.py",
    "/static/%2e%2e/site.py",
    "/static/..%2fsite.py",
    "/api/v1/download/..%2f..",
]


@pytest.mark.parametrize("address", ATTACKS)
def test_no_address_reads_what_lies_outside(client, root, address):
    (root.parent / "secret").write_text("a secret")
    run = make(root / "runs" / "a")
    (run / "net.log").write_text("a line\n")
    (run / "out").symlink_to(root.parent / "secret")
    found = client.get(address)
    assert found.status_code in (400, 403, 404), found.text
    assert "a secret" not in found.text and "class Site" not in found.text


def test_a_file_of_a_job_is_sent_and_cannot_run(client, root):
    run = make(root / "runs" / "a")
    (run / "page.html").write_text("<script>alert(1)</script>")
    (run / "net.svg").write_text("<svg/>")
    found = client.get("/api/v1/file/runs/a/page.html")
    assert found.headers["content-type"].startswith("text/plain")
    assert "sandbox" in found.headers["content-security-policy"]
    svg = client.get("/api/v1/file/runs/a/net.svg", params={"download": 1})
    assert svg.headers["content-type"].startswith("image/svg")
    assert "script-src" not in svg.headers["content-security-policy"]
    assert svg.headers["content-disposition"].startswith("attachment")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(client, root):
    run = make(root / "runs" / "a")
    (run / "x.txt").write_text("x")
    (run / "x.txt").chmod(0)
    assert client.get("/api/v1/file/runs/a/x.txt").status_code == 500
