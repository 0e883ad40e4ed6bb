"""Home, a run, a comparison and the machine, in a browser: as people look at them and use them."""

import json
import math
import os
import time

import pytest

from minidl.runs import job, processes
from tests.browser.conftest import NARROW, WIDE


def event(folder, **facts):
    with open(folder / "events.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"time": 1.7e9 + facts["iter"] / 50, **facts}) + "\n")


def display(folder, iteration, loss):
    facts = {"seconds": 0.2, "iterations": 10, "images": 640, "final": False}
    event(
        folder, event="display", iter=iteration, loss=loss, lr=0.01, outputs={"loss": loss}, **facts
    )


def made(root, name, state="done", iterations=400, rate=0.01, **facts):
    """Write a run as a trainer would: its job, its state, its events, its log."""
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    words = ("train", "--net", "lenet", "--data", "data/digits", "--rate", str(rate))
    job.write(folder, job.Job("train", words, cwd="../..", name=name, created=1.7e9, **facts))
    began = time.time() - 60
    history = (("running", began), (state, began + 30)) if state != "waiting" else ()
    own = {"pid": os.getpid(), "started": processes.token(os.getpid())}
    job.write_status(
        folder,
        job.Status(
            state,
            history=history,
            done=iterations,
            total=400,
            unit="iterations",
            **(own if state == "running" else {}),
        ),
    )
    if state == "waiting":
        return folder
    event(folder, event="start", iter=0, net="LeNet", max_iter=400, epoch_iters=40, type="SGD")
    log = []
    for i in range(0, iterations, 10):
        if i % 100 == 0:
            outputs = {"accuracy": 1 - 0.9 * math.exp(-i / 80), "loss": 2.3 * math.exp(-i / 90)}
            event(folder, event="test", iter=i, net=0, outputs=outputs)
        display(folder, i, 2.3 * math.exp(-i * rate) + 0.1)
        log.append(f"I0101 00:00:00.000000 1 solver.py:1] Iteration {i}, loss = 1\n")
    (folder / "lenet.log").write_text("".join(log), "utf-8")
    (folder / "solver.prototxt").write_text(f"base_lr: {rate}\nmax_iter: 400\n", "utf-8")
    return folder


@pytest.fixture
def tree(tmp_path):
    made(tmp_path, "slow", rate=0.01, group="rates", tags=("baseline",))
    made(tmp_path, "fast", rate=0.1, group="rates")
    made(tmp_path, "alive", "running", iterations=200)
    made(tmp_path, "first", "waiting")
    made(tmp_path, "second", "waiting")
    return tmp_path


def until(page, script, patience_s=30):
    """Wait until a script says true: the page's policy lets Playwright's own way not run."""
    deadline = time.monotonic() + patience_s
    while not page.evaluate(script):
        assert time.monotonic() < deadline, script
        page.wait_for_timeout(50)


def last_of(page, words):
    """Wait until the first chart says that its last figures are these."""
    place = "document.querySelector('.chart-plot').getAttribute('aria-label')"
    until(page, f"{place}.includes({words!r})")


PAGES = {
    "home": ("/", "tbody tr[data-key]"),
    "run": ("/job/runs/slow", ".chart canvas"),
    "log": ("/job/runs/slow?tab=log", ".log-lines > div"),
    "details": ("/job/runs/slow?tab=details", ".history li"),
    "files": ("/job/runs/slow?tab=files", "tbody tr"),
    "compare": ("/compare?ids=runs/slow,runs/fast", ".chart canvas"),
    "choose": ("/compare", "tbody tr[data-key]"),
    "system": ("/system", ".grip"),
}

# Nothing but colours differs in the dark; all other rules take a minute.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dark", "size"), [(False, WIDE), (True, NARROW)], ids=["light and wide", "dark and narrow"]
)
def test_pages_can_be_read_by_everybody(tree, serve, tab, dark, size):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is absent")
    server = serve(tree)
    found = {}
    page = tab(f"{server.url}/", dark, size)
    for name, (path, sign) in PAGES.items():
        page.goto(server.url + path)
        page.wait_for_selector(sign)
        rules = axe.Axe().run(page, options=COLOURS if dark else None).response["violations"]
        found[name] = [(one["id"], one["nodes"][0]["target"]) for one in rules]
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{name} is {wider} pixels wider than the window"
    assert found == dict.fromkeys(PAGES, [])


def test_home_lists_runs_finds_them_and_keeps_what_was_chosen(tree, serve, tab):
    page = tab(serve(tree).url)
    names = page.locator("tbody tr[data-key] th a")
    page.wait_for_selector("tbody tr[data-key]")
    assert set(names.all_inner_texts()) == {"slow", "fast", "alive", "first", "second"}
    assert page.locator("#running-cards h3").all_inner_texts() == ["alive"]
    assert page.locator("#waiting .tag").all_inner_texts() == ["first", "second"]

    page.get_by_role("button", name="Columns").click()
    page.get_by_label("test accuracy, best").check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="test accuracy, best").click()
    assert page.locator("th[aria-sort=descending]").inner_text() == "test accuracy, best"

    page.keyboard.press("/")
    page.keyboard.type("baseline")
    until(page, "document.querySelectorAll('tbody tr[data-key]').length === 1")
    assert "q=baseline" in page.url
    page.reload()
    page.wait_for_selector("tbody tr[data-key]")
    assert names.all_inner_texts() == ["slow"]
    assert page.get_by_role("button", name="test accuracy, best").is_visible()


def test_a_run_is_drawn_as_it_goes_and_says_when_something_is_wrong(tree, serve, tab):
    page = tab(f"{serve(tree).url}/job/runs/alive")
    page.wait_for_selector(".chart canvas")
    folder = tree / "runs" / "alive"
    words = "conv2 has been dead for an epoch: try a tenth of the rate."
    display(folder, 200, 0.1234)
    event(folder, event="alarm", iter=200, kind="dead", layer="conv2", text=words)
    last_of(page, "train 0.1234")
    assert page.get_by_text(words).is_visible()
    page.get_by_role("tab", name="Log").click()
    page.get_by_label("Levels").select_option("W")
    assert (
        page.locator(".log-lines > div:visible").all_inner_texts()
        == ["W0101 00:00:00.000000 1 solver.py:1] Iteration 200, loss = 1"]
        or page.locator(".log-lines > div:visible").count() == 0
    )  # 200 iterations end before it
    with open(folder / "lenet.log", "a", encoding="utf-8") as log:
        log.write("W0101 00:00:01.000000 1 solver.py:1] something new\n")
    page.get_by_text("something new").wait_for()


def test_a_run_can_be_evaluated_as_soon_as_it_has_a_snapshot(tree, serve, tab):
    page = tab(f"{serve(tree).url}/job/runs/alive")
    page.wait_for_selector(".chart canvas")
    evaluate = page.get_by_role("link", name="Evaluate")
    assert evaluate.count() == 0
    folder = tree / "runs" / "alive"
    names = {"weights": "alive_iter_200.caffemodel", "state": "alive_iter_200.solverstate"}
    for name in names.values():
        (folder / name).write_bytes(b"x")
    event(folder, event="snapshot", iter=200, **names)
    evaluate.wait_for()


def test_a_chart_zooms_and_goes_back(tree, serve, tab):
    page = tab(f"{serve(tree).url}/job/runs/slow")
    page.wait_for_selector(".chart canvas")
    whole = page.get_by_role("button", name="Whole run")
    assert whole.is_disabled()
    place = page.locator(".u-over").first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=4)
    page.mouse.up()
    until(page, "!document.querySelector('.chart-bar button').disabled")
    page.mouse.dblclick(box["x"] + 60, box["y"] + 50)
    until(page, "document.querySelector('.chart-bar button').disabled")
    page.get_by_role("button", name="More on Loss").click()
    page.get_by_role("menuitem", name="Limits of the axes").click()
    page.get_by_label("Right end").fill("100")
    page.get_by_role("button", name="Apply").click()
    assert whole.is_enabled()
    with page.expect_download() as download:
        page.get_by_role("button", name="More on Loss").click()
        page.get_by_role("menuitem", name="Save as CSV").click()
    assert "train,0,0,1700000000,2.4" in download.value.path().read_text()


def test_a_page_goes_on_when_the_server_was_killed_and_came_back(tree, serve, tab):
    server = serve(tree)
    page = tab(f"{server.url}/job/runs/alive")
    page.wait_for_selector(".chart canvas")
    port = server.port
    server.stop(kill=True)
    display(tree / "runs" / "alive", 200, 0.2345)
    page.get_by_text("Reconnecting").wait_for()
    tab.complaints.clear()  # the browser says that the server is away
    server.start(port)
    last_of(page, "train 0.2345")
    until(page, "document.querySelector('#live').dataset.state === 'on'")
    tab.complaints.clear()


def test_runs_are_compared_by_link(tree, serve, tab):
    page = tab(f"{serve(tree).url}/compare?ids=runs/slow,runs/fast")
    page.wait_for_selector(".chart canvas")
    assert page.locator(".run-chip a").all_inner_texts() == ["slow", "fast"]
    row = page.locator("tr", has_text="solver.base_lr")
    assert row.locator("td").all_inner_texts() == ["0.01", "0.1"]
    page.get_by_label("Leave out fast").click()
    until(page, "document.querySelectorAll('.run-chip').length === 1")
    assert page.url.endswith("?ids=runs/slow")
    page.go_back()
    until(page, "document.querySelectorAll('.run-chip').length === 2")


def test_the_queue_is_put_in_order_by_keyboard(tree, serve, tab):
    page = tab(f"{serve(tree).url}/system")
    page.get_by_label("Move first: arrow up, arrow down").focus()
    page.keyboard.press("ArrowDown")
    page.get_by_text("first: place 2 of 2").wait_for(state="attached")
    deadline = time.monotonic() + 20
    places = {}
    while time.monotonic() < deadline:
        places = {n: job.status(tree / "runs" / n).place for n in ("first", "second")}
        if places["second"] < places["first"]:
            break
        time.sleep(0.1)
    assert places["second"] < places["first"]
    named = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert named == "Move first: arrow up, arrow down"


def test_colours_that_were_chosen_last_without_a_flash(tree, serve, tab):
    page = tab(serve(tree).url)
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload(wait_until="commit")
    page.wait_for_selector("main")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_job_is_thrown_away_and_brought_back(tree, serve, tab):
    page = tab(serve(tree).url)
    page.get_by_label("Choose slow").check()
    page.get_by_role("button", name="Delete").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    row = page.get_by_label("Choose slow")
    row.wait_for(state="detached")
    assert not (tree / "runs" / "slow").exists()
    page.get_by_role("button", name="Undo").click()
    row.wait_for()
    assert (tree / "runs" / "slow" / "job.json").is_file()
