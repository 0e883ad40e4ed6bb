"""/api/v1 through a client: jobs read, begun and changed, and the pages around them."""

from __future__ import annotations

import json

import pytest

from minidl.runs import job
from tests.web.making import display, events, make, test_of, until


@pytest.fixture
def jobs(root):
    """A finished run with figures, its data set, and an older run."""
    make(root / "data" / "pets", "dataset", name="Pets", created=1.0)
    needs = {"data": "../../data/pets"}
    run = make(root / "runs" / "a", name="A run", group="g", tags=("t",), needs=needs, created=2.0)
    events(run, {"event": "start", "time": 0.0, "iter": 0, "epoch_iters": 2.0, "max_iter": 4})
    events(run, *(display(i, 1.0 / (i + 1)) for i in range(5)), test_of(4, accuracy=0.5))
    (run / "net.log").write_text("".join(f"line {i}\n" for i in range(100)))
    (run / "solver.prototxt").write_text("base_lr: 0.1\nlr_policy: 'fixed'\n")
    (run / "net_iter_4.caffemodel").write_bytes(b"weights")
    (run / "trained_net.prototxt").write_text("layer { name: 'c' type: 'Convolution' }")
    events(root / "old", display(0, 2.0), {"event": "end", "time": 5.0, "iter": 0})
    return root


def error(found, status):
    assert found.status_code == status, found.text
    return found.json()["error"]


def test_all_jobs_are_listed_newest_first(client, jobs):
    found = until(lambda: [j for j in client.get("/api/v1/jobs").json()["jobs"] if j["metrics"]])
    body = client.get("/api/v1/jobs").json()
    assert [one["id"] for one in body["jobs"]] == ["old", "runs/a", "data/pets"]
    assert body["version"] == "1.2" and body["root"] == str(jobs)
    assert body["devices"][0]["id"] == "cpu" and found


@pytest.mark.parametrize(
    "query, ids",
    [
        ({"kind": "dataset"}, ["data/pets"]),
        ({"kind": "dataset,train", "q": "run"}, ["runs/a"]),
        ({"group": "g"}, ["runs/a"]),
        ({"q": "g RUN"}, ["runs/a"]),
        ({"state": "failed"}, []),
    ],
)
def test_jobs_are_chosen(jobs, client, query, ids):
    found = client.get("/api/v1/jobs", params=query).json()["jobs"]
    chosen = [one["id"] for one in found if one["id"] != "old" or "old" in ids]
    assert chosen == ids


def test_one_job_in_full(client, jobs):
    client.get("/api/v1/jobs")
    found = client.get("/api/v1/job/runs/a").json()
    assert found["parents"] == {"data": "data/pets"} and found["snapshots"][0]["iter"] == 4
    assert client.get("/api/v1/job/data/pets").json()["dependants"] == ["runs/a"]


def test_there_is_no_such_job(client, jobs):
    for path in ("job/nothing", "metrics/nothing", "log/runs", "file/runs/x", "events/x"):
        assert error(client.get(f"/api/v1/{path}"), 404)["message"]


def test_name_notes_and_tags_can_be_changed(client, jobs):
    changes = {"name": "New", "notes": "a\nb", "tags": ["x", " y ", "x"], "group": ""}
    for method in ("PATCH", "POST"):
        found = client.request(method, "/api/v1/job/runs/a", json=changes)
        assert found.json()["name"] == "New"
    made = job.read(jobs / "runs" / "a")
    assert (made.notes, made.tags, made.group) == ("a\nb", ("x", "y"), "")


@pytest.mark.parametrize(
    "change", [{"kind": "x"}, {"argv": ["rm"]}, {"name": 3}, {"tags": "a"}, {"name": "x" * 300}]
)
def test_nothing_else_can_be_changed(client, jobs, change):
    before = (jobs / "runs" / "a" / "job.json").read_text()
    assert error(client.patch("/api/v1/job/runs/a", json=change), 422)["field"] in change
    assert (jobs / "runs" / "a" / "job.json").read_text() == before


def test_an_adopted_run_is_never_changed(client, jobs):
    for path in ("job/old", "stop/old", "resume/old", "clone/old"):
        error(client.post(f"/api/v1/{path}", json={}), 409)


def test_curves(client, jobs):
    found = client.get("/api/v1/metrics/runs/a").json()
    assert found["series"]["train loss"] == {
        "iter": [0, 1, 2, 3, 4],
        "time": [1000.0, 1001.0, 1002.0, 1003.0, 1004.0],
        "epoch": [0.0, 0.5, 1.0, 1.5, 2.0],
        "value": [1 / (i + 1) for i in range(5)],
    }
    assert found["offset"] == (jobs / "runs/a/events.jsonl").stat().st_size
    assert found["partial"] is False
    part = client.get("/api/v1/metrics/runs/a", params={"names": "lr", "from": 1, "to": 2}).json()
    assert list(part["series"]) == ["lr"] and part["series"]["lr"]["iter"] == [1, 2]
    assert client.get("/api/v1/metrics/data/pets").json()["series"] == {}


def test_a_figure_that_is_no_number_is_null(client, jobs):
    events(jobs / "runs" / "a", display(5, None))
    found = client.get("/api/v1/metrics/runs/a").json()["series"]["train loss"]
    assert found["value"][-1] is None


@pytest.mark.parametrize("query", ["points=x", "points=1", "points=1e9", "from=nan", "to=inf"])
def test_numbers_that_make_no_sense(client, jobs, query):
    assert (
        error(client.get(f"/api/v1/metrics/runs/a?{query}"), 400)["field"]
        == query[: query.index("=")]
    )


def test_a_log_comes_in_parts_of_whole_lines(client, jobs):
    ask = lambda **query: client.get("/api/v1/log/runs/a", params=query).json()  # noqa: E731
    whole = "".join(f"line {i}\n" for i in range(100))
    text, offset = "", 0
    while part := ask(offset=offset, limit=50)["text"]:
        assert part.endswith("\n")
        text, offset = text + part, offset + len(part)
    assert text == whole
    tail = ask(offset=-20)
    assert tail["text"] == "line 98\nline 99\n" and tail["offset"] == tail["size"] == len(whole)
    found = ask(q="LINE 9", limit=10)["matches"]
    assert [one["line"] for one in found] == [10, *range(91, 101)]
    assert whole[found[1]["offset"] :].startswith("line 90\n")


def test_a_job_without_a_log_has_an_empty_one(client, jobs):
    found = client.get("/api/v1/log/data/pets").json()
    assert (found["text"], found["files"]) == ("", [])


@pytest.fixture
def soon_quiet(monkeypatch):
    monkeypatch.setattr("minidl.web.site.QUIET_S", 0.05)


def test_curves_that_nobody_looks_at_give_their_memory_back_and_come_again(
    soon_quiet, client, site, jobs
):
    events(jobs / "runs" / "a", *(display(i, 1.0 / (i + 1)) for i in range(50)))
    before = client.get("/api/v1/metrics/runs/a").json()
    assert before["series"] and site._figures
    until(lambda: not site._figures)
    assert client.get("/api/v1/metrics/runs/a").json() == before


def test_histograms_and_samples(client, jobs):
    run = jobs / "runs" / "a"
    line = {"iter": 4, "blobs": [{"name": "conv1 weight", "counts": [1], "kind": "weight"}]}
    text = json.dumps(line) + "\n"
    (run / "histograms.jsonl").write_text("x\n" + text)
    place = {"time": 1.0, "iter": 4}
    events(run, {"event": "histograms", "file": "h", "at": 2, "size": len(text), **place})
    events(run, {"event": "samples", "folder": "samples/000004", **place})
    (run / "samples" / "000004").mkdir(parents=True)
    (run / "samples" / "000004" / "samples.json").write_text('{"iter": 4, "items": []}')
    # The events may be read after the first answers.
    names = until(lambda: client.get("/api/v1/histograms/runs/a").json()["names"])
    assert names == ["conv1 weight"]
    found = client.get("/api/v1/histograms/runs/a", params={"name": "conv1 weight"}).json()
    assert found == {"iters": [4], "rows": line["blobs"]}
    assert client.get("/api/v1/samples/runs/a").json() == {"iters": [4]}
    found = client.get("/api/v1/samples/runs/a", params={"iter": 4}).json()
    assert found["items"] == [] and found["folder"] == "samples/000004"
    error(client.get("/api/v1/samples/runs/a", params={"iter": 5}), 404)


def test_a_form_becomes_a_command_and_then_a_job(client, root):
    asked = {"kind": "dataset", "form": {"source": "digits", "name": "My digits"}}
    found = client.post("/api/v1/command", json=asked).json()
    assert found == {"commands": ["minidl dataset digits --out data/my-digits"]}
    assert not (root / "data").exists()
    found = client.post("/api/v1/jobs", json=asked)
    assert found.status_code == 201 and found.json() == {"jobs": [{"id": "data/my-digits"}]}
    again = client.post("/api/v1/command", json=asked).json()
    assert again == {"commands": ["minidl dataset digits --out data/my-digits-2"]}
    folder = root / "data" / "my-digits"
    until(lambda: job.status(folder).done)
    assert client.get("/api/v1/queue").json()["running"] == ["data/my-digits"]
    (folder / "finish").touch()
    until(lambda: client.get("/api/v1/job/data/my-digits").json()["state"] == "done")
    made = job.read(folder)
    assert made.argv == ("dataset", "digits", "--out", "data/my-digits")
    assert made.form == asked["form"] and made.name == "My digits"
    clone = client.post("/api/v1/clone/data/my-digits", json={}).json()
    assert clone == {"kind": "dataset", "form": asked["form"]}


def test_a_sweep_waits_in_order_and_can_be_put_in_another(client, root):
    make(root / "data" / "pets", "dataset")
    form = {"net": "lenet", "data": "data/pets", "name": "s", "rate": "0.1,0.2,0.3"}
    found = client.post("/api/v1/jobs", json={"kind": "train", "form": form}).json()["jobs"]
    ids = [one["id"] for one in found]
    until(lambda: client.get("/api/v1/queue").json()["running"] == [ids[0]])
    waiting = client.get("/api/v1/queue").json()["waiting"]
    assert [one["id"] for one in waiting] == ids[1:]
    assert waiting[0]["why"] == ""
    found = client.put("/api/v1/queue", json={"ids": [ids[2], "nobody"]}).json()["waiting"]
    assert [one["id"] for one in found] == [ids[2], ids[1]]
    for name in ids[1:]:
        client.post(f"/api/v1/stop/{name}", json={"how": "stop"})
    until(lambda: job.status(root / ids[0]).done)
    client.post(f"/api/v1/stop/{ids[0]}", json={"how": "abort"})
    until(lambda: client.get(f"/api/v1/job/{ids[0]}").json()["state"] == "aborted")
    assert client.post(f"/api/v1/resume/{ids[0]}", json={}).json()["state"] in (
        "waiting",
        "running",
    )


def test_more_slots_let_more_run(client, root):
    make(root / "data" / "pets", "dataset")
    form = {"net": "lenet", "data": "data/pets", "name": "s", "rate": "0.1,0.2"}
    client.post("/api/v1/jobs", json={"kind": "train", "form": form})
    until(lambda: len(client.get("/api/v1/queue").json()["running"]) == 1)
    assert client.put("/api/v1/system", json={"slots": 2}).json() == {"slots": 2}
    until(lambda: len(client.get("/api/v1/queue").json()["running"]) == 2)
    for slots in (0, 1.5, True, "2", 1000):
        error(client.put("/api/v1/system", json={"slots": slots}), 422)


@pytest.mark.parametrize(
    "body", [{}, {"kind": "train"}, {"kind": "train", "form": []}, {"kind": "nothing", "form": {}}]
)
def test_a_form_that_is_none(client, root, body):
    for path in ("jobs", "command"):
        error(client.post(f"/api/v1/{path}", json=body), 422)
    assert [path.name for path in root.iterdir() if path.name != ".minidl"] == []


def test_the_trash_names_dependants_and_gives_back(client, jobs):
    client.get("/api/v1/jobs")
    found = client.post("/api/v1/trash/data/pets", json={})
    assert error(found, 409)["message"] == "is needed by 1 other job"
    assert found.json()["dependants"] == ["runs/a"]
    called = client.post("/api/v1/trash/runs/a", json={}).json()["trash"]
    assert not (jobs / "runs" / "a").exists()
    error(client.get("/api/v1/job/runs/a"), 404)
    assert client.get("/api/v1/trash").json()["trash"][0]["id"] == "runs/a"
    assert client.post("/api/v1/trash/data/pets", json={}).status_code == 200  # nobody needs it now
    assert client.post("/api/v1/restore", json={"trash": called}).json() == {"id": "runs/a"}
    assert client.get("/api/v1/job/runs/a").json()["name"] == "A run"


def test_nothing_is_brought_back_over_another_job(client, jobs):
    called = client.post("/api/v1/trash/runs/a", json={}).json()["trash"]
    make(jobs / "runs" / "a", name="another")
    error(client.post("/api/v1/restore", json={"trash": called}), 409)
    assert job.read(jobs / "runs" / "a").name == "another"
    assert client.get("/api/v1/trash").json()["trash"][0]["trash"] == called


@pytest.mark.parametrize("name", ["", "nothing", "../../runs/a", "/etc", "a/b", ".."])
def test_only_what_is_in_the_trash_is_brought_back(client, jobs, name):
    found = client.post("/api/v1/restore", json={"trash": name})
    assert found.status_code in (403, 404)


def test_a_running_job_is_not_thrown_away(client, root):
    make(root / "run", state=job.RUNNING)
    make(root / "other", "dataset")
    make(root / "other" / "inner", state=job.RUNNING)
    for name in ("run", "other"):
        assert (
            error(client.post(f"/api/v1/trash/{name}", json={"anyway": True}), 409)["message"]
            == "runs"
        )


def test_runs_side_by_side(client, jobs):
    other = make(jobs / "runs" / "b", name="=cmd()")
    (other / "solver.prototxt").write_text("base_lr: 0.2\nlr_policy: 'fixed'\n")
    events(other, display(0, 3.0))
    found = client.get("/api/v1/compare", params={"ids": "runs/a,runs/b"}).json()
    assert [run["id"] for run in found["runs"]] == ["runs/a", "runs/b"]
    fields = {field["field"]: field["values"] for field in found["fields"]}
    assert fields["solver.base_lr"] == ["0.1", "0.2"] and "solver.lr_policy" not in fields
    assert fields["job.data"] == ["data/pets", None] and fields["net.c.type"] == [
        "Convolution",
        None,
    ]
    assert found["series"]["runs/b"]["train loss"]["value"] == [3.0]
    text = client.get("/api/v1/compare", params={"ids": "runs/a,runs/b", "format": "csv"}).text
    assert text.startswith("id,name,state,iterations,") and "'=cmd()" in text
    text = client.get("/api/v1/compare?ids=runs/b&format=csv&points=100").text
    assert text.splitlines() == [
        "id,figure,iter,time,value",
        "runs/b,train loss,0,1000.0,3.0",
        "runs/b,lr,0,1000.0,0.1",
    ]
    error(client.get("/api/v1/compare"), 422)


def test_the_machine(client, root):
    found = client.get("/api/v1/system").json()
    assert found["versions"]["minidl"] == "1.2" and found["cpu"]["count"] > 0
    assert found["slots"] == 1 and found["data_roots"] == [str(root)]


def test_the_zoo(client):
    found = {one["name"]: one for one in client.get("/api/v1/zoo").json()}
    assert found["lenet"]["size"] == [28, 28] and found["lenet"]["classifies"]
    assert not found["autoencoder"]["classifies"] and "text" not in found["lenet"]
    assert "layer" in client.get("/api/v1/zoo?text=1").json()[0]["text"]


def test_folders_for_those_who_choose_one(client, root):
    (root / "b").mkdir()
    (root / "A.png").write_bytes(b"123")
    (root / ".hidden").mkdir()
    (root / "out").symlink_to("/etc")
    ask = lambda path: client.post("/api/v1/ask/folder", json={"path": path})  # noqa: E731
    assert ask("").json()["folders"] == [str(root)]
    found = ask(str(root)).json()
    assert found["folders"] == ["b", "out"] and found["files"] == [{"name": "A.png", "bytes": 3}]
    assert found["parent"] is None and ask("b").json()["parent"] == str(root)
    for path in ("/etc", "out", "../"):
        error(ask(path), 403)
    error(ask("A.png"), 422)
    error(ask("nothing"), 404)


PAGES = {
    "/": "home",
    "/job/runs/a": "run",
    "/job/data/pets": "dataset",
    "/explore/data/pets": "explore",
    "/new/dataset": "new_dataset",
    "/new/run": "new_run",
    "/new/evaluation?run=runs/a": "new_evaluation",
    "/compare?ids=runs/a": "compare",
    "/system": "system",
}


@pytest.mark.parametrize("address, page", PAGES.items())
def test_every_page_has_its_shell(client, jobs, address, page):
    found = client.get(address)
    assert found.status_code == 200
    assert f'data-page="{page}"' in found.text


def test_a_page_that_is_not_there_says_so_to_people(client):
    browser = {"accept": "text/html,*/*"}
    for address in ("/nothing", "/job/nothing", "/job/a/../b"):
        found = client.get(address, headers=browser)
        assert found.status_code == 404 and found.text.startswith("<!doctype html>")
    assert error(client.get("/nothing"), 404)


def test_names_are_escaped_in_pages(client, root):
    make(root / "run", name="<script>alert(1)</script>")
    text = client.get("/job/run").text
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_an_error_of_ours_does_not_tell_how_it_came(client, jobs, monkeypatch):
    from minidl.web import summary

    def broken(*_):
        raise KeyError("secret")

    monkeypatch.setattr(summary, "details", broken)
    # Not a second client: that would be a second event loop for the same locks.
    monkeypatch.setattr(client._transport, "raise_server_exceptions", False)
    found = error(client.get("/api/v1/job/runs/a"), 500)
    assert "secret" not in json.dumps(found) and "bug in minidl" in found["message"]
