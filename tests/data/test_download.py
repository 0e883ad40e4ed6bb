"""Downloads from a server on this machine: resume, checksums, mirrors that fail."""

import functools
import hashlib
import http.server
import sys
import threading

import numpy as np
import pytest

from minidl.data import download
from minidl.data.download import Remote
from minidl.errors import DataError

CONTENT = np.random.default_rng(0).bytes(300_000)
FILE = Remote("x.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Handler(http.server.BaseHTTPRequestHandler):
    """/good/ knows ranges, /whole/ does not, /cut/ breaks off; /bad/, /endless/, /none/ err."""

    protocol_version = "HTTP/1.1"

    def __init__(self, requests, hung_up, *args):
        self.requests, self.hung_up = requests, hung_up
        super().__init__(*args)

    def do_GET(self):
        range_ = self.headers.get("Range")
        self.requests.append((self.path, range_))
        kind = self.path.split("/")[1]
        body, status = CONTENT, 200
        if kind == "none":
            self.send_error(404)
            return
        if kind == "bad":
            body = CONTENT[:-1] + b"?"
        if kind == "endless":
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            try:
                for _ in range(32):
                    self.wfile.write(bytes(1 << 20))
            except ConnectionError:
                self.hung_up.set()
            return
        start = int(range_[6:-1]) if range_ and kind != "whole" else 0
        self.send_response(206 if start else status)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if kind == "cut":
            self.wfile.write(body[start : start + 100_000])
            self.close_connection = True
            return
        self.wfile.write(body[start:])

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        self.requests, self.hung_up = [], threading.Event()
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, self.requests, self.hung_up))

    def urls(self, *kinds):
        return [f"http://127.0.0.1:{self.server_port}/{kind}/" for kind in kinds]


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs=dict(poll_interval=0.01))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    def fetch_from(*kinds):
        return download.fetch(FILE, server.urls(*kinds), tmp_path, progress=False)

    return fetch_from


def test_a_file_is_downloaded(fetch, tmp_path):
    path = fetch("good")
    assert path == tmp_path / "x.gz" and path.read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["x.gz"]


def test_a_file_that_is_there_is_not_asked_for(fetch, server, tmp_path):
    (tmp_path / "x.gz").write_bytes(CONTENT)
    fetch("good")
    assert server.requests == []


def test_a_file_that_is_there_but_wrong_is_replaced(fetch, tmp_path):
    (tmp_path / "x.gz").write_bytes(b"old")
    assert fetch("good").read_bytes() == CONTENT


def test_an_earlier_try_is_continued(fetch, server, tmp_path):
    (tmp_path / "x.gz.part").write_bytes(CONTENT[:123_456])
    assert fetch("good").read_bytes() == CONTENT
    assert server.requests == [("/good/x.gz", "bytes=123456-")]


def test_a_server_without_ranges_starts_again(fetch, tmp_path):
    (tmp_path / "x.gz.part").write_bytes(b"?" * 123_456)
    assert fetch("whole").read_bytes() == CONTENT


def test_a_complete_part_is_only_checked(fetch, server, tmp_path):
    (tmp_path / "x.gz.part").write_bytes(CONTENT)
    assert fetch("good").read_bytes() == CONTENT
    assert server.requests == []


def test_a_part_that_is_too_long_is_thrown_away(fetch, server, tmp_path):
    (tmp_path / "x.gz.part").write_bytes(CONTENT + b"!")
    assert fetch("good").read_bytes() == CONTENT
    assert server.requests == [("/good/x.gz", None)]


def test_a_connection_that_breaks_off_is_continued_by_the_next_mirror(fetch, server):
    assert fetch("cut", "good").read_bytes() == CONTENT
    assert server.requests == [("/cut/x.gz", None), ("/good/x.gz", "bytes=100000-")]


def test_what_broke_off_is_kept_for_the_next_run(fetch, server, tmp_path):
    with pytest.raises(DataError, match="cut/x.gz: ended after 100000 of 300000 bytes"):
        fetch("cut")
    assert (tmp_path / "x.gz.part").read_bytes() == CONTENT[:100_000]
    assert fetch("good").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_is_left(fetch, tmp_path):
    with pytest.raises(DataError, match=f"has the SHA-256 [0-9a-f]+, expected {FILE.sha256}"):
        fetch("bad")
    assert list(tmp_path.iterdir()) == []
    assert fetch("bad", "good").read_bytes() == CONTENT


def test_a_server_that_sends_too_much_is_not_listened_to(fetch, server, tmp_path):
    with pytest.raises(DataError, match="sends more than the 300000 bytes expected"):
        fetch("endless")
    assert list(tmp_path.iterdir()) == []
    assert server.hung_up.wait(10)


def test_all_mirrors_that_failed_are_listed(fetch, server):
    url = server.urls("none", "bad")
    with pytest.raises(DataError) as caught:
        fetch("none", "bad")
    text = str(caught.value)
    assert f"{url[0]}x.gz: HTTP Error 404" in text and f"{url[1]}x.gz: has the SHA-256" in text
    assert "--from" in text


def test_a_server_that_is_not_there_is_an_error_of_ours(tmp_path):
    with pytest.raises(DataError, match="x.gz: <urlopen error"):
        download.fetch(FILE, ["http://127.0.0.1:1/"], tmp_path, progress=False)


def test_a_progress_bar_counts_the_bytes_and_goes(server, tmp_path, capsys):
    (tmp_path / "x.gz.part").write_bytes(CONTENT[:150_000])
    download.fetch(FILE, server.urls("good"), tmp_path, progress=True)
    shown = capsys.readouterr().err
    assert "x.gz:  50%" in shown and "150k/300k" in shown


def test_without_a_bar_tqdm_is_not_needed(fetch, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert fetch("good").read_bytes() == CONTENT
