"""From a folder of pictures to a comparison of runs, by clicking alone."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from minidl.runs import job

pytestmark = pytest.mark.slow

CLASSES, OF_EACH = ("circles", "squares", "stripes"), 24


@pytest.fixture
def tree(tmp_path):
    """Three classes of small pictures, which a net can tell apart in a few steps."""
    from PIL import Image

    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[:28, :28]
    for i in range(OF_EACH):
        y, x = draw.integers(10, 18, 2)
        shapes = {
            "circles": (rows - y) ** 2 + (columns - x) ** 2 < 60,
            "squares": (abs(rows - y) < 7) & (abs(columns - x) < 7) & ((rows + columns) % 2 == 0),
            "stripes": (rows + y) % 6 < 3,
        }
        for name, inside in shapes.items():
            pixels = (200 * inside + draw.integers(0, 40, (28, 28))).astype(np.uint8)
            path = tmp_path / "pictures" / name / f"{i:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (tmp_path / "pictures" / "circles" / "broken.png").write_bytes(b"no picture")
    return tmp_path


def job_of(page, below=""):
    """The id of the job whose page opens."""
    page.wait_for_url(re.compile(rf"/job/{below}"))
    return page.url.split("/job/")[1].split("?")[0]


def until_done(page, folder):
    """Wait until the page says that the job is done; if it failed, say why."""
    for _ in range(900):
        if page.locator("[data-state=done]").count():
            return
        state = job.status(folder)
        assert state.state != job.FAILED, (state.error, (folder / "output.txt").read_text())
        page.wait_for_timeout(100)
    raise AssertionError(page.locator("main").inner_text())


def test_a_folder_becomes_data_a_run_an_evaluation_and_a_comparison(tree, serve, tab):
    page = tab(serve(tree).url)

    # The folder is looked through before anything is made of it.
    page.get_by_role("link", name="New dataset").first.click()
    page.get_by_role("textbox", name="Folder of pictures").fill("pictures")
    page.get_by_text("72 pictures in 3 classes").wait_for()
    page.get_by_text("broken.png").first.wait_for(state="attached")
    page.get_by_role("textbox", name="Size").fill("28")
    page.get_by_text("minidl dataset folder pictures").wait_for()
    page.get_by_role("button", name="Create dataset").click()
    data = job_of(page, "data/")
    until_done(page, tree / data)
    made = json.loads((tree / data / "dataset.json").read_text())
    assert made["splits"]["train"]["records"] == 54 and made["splits"]["val"]["records"] == 18
    page.get_by_role("link", name="Explore").click()
    page.wait_for_url("**/explore/**")
    page.locator("main img").first.wait_for()

    # Two runs of one form, which says beforehand what they will be.
    page.goto(f"{page.url.split('/explore')[0]}/new/run?data={data}")
    page.get_by_role("radio", name=re.compile("^LeNet")).check(force=True)
    page.get_by_role("textbox", name="Epochs").fill("3")
    page.get_by_role("textbox", name="Batch size").fill("9")
    page.get_by_role("textbox", name="Rate to begin with").fill("0.01, 0.001")
    page.get_by_role("textbox", name="Histograms every").fill("1")
    page.get_by_role("textbox", name="Samples every").fill("1")
    page.get_by_text("--rate 0.001").wait_for()
    page.get_by_role("button", name=re.compile("^Start")).click()
    page.wait_for_url(lambda url: "/new/run" not in url)
    runs = sorted(path.parent for path in tree.glob("runs/*/job.json"))
    assert len(runs) == 2
    for folder in runs:
        page.goto(f"{page.url.split('/', 3)[0]}//{page.url.split('/')[2]}/job/runs/{folder.name}")
        until_done(page, folder)
        page.locator(".chart canvas").first.wait_for()
        assert job.read(folder).group, "a sweep is a group"
    page.get_by_role("tab", name="Histograms").click()
    page.get_by_role("heading", name="conv1 weight").wait_for()
    page.get_by_role("tab", name="Samples").click()
    page.locator(".tab-panel img:visible, main img:visible").first.wait_for()
    page.get_by_role("tab", name="Net", exact=True).click()
    page.get_by_role("group", name=re.compile("^Drawing of the net")).wait_for()

    # What it does to pictures that it did not learn from, and the pictures behind a figure.
    page.get_by_role("link", name="Evaluate").first.click()
    page.wait_for_url("**/new/evaluation**")
    page.get_by_text("minidl evaluate").first.wait_for()
    page.get_by_role("button", name=re.compile("Evaluate|Start")).last.click()
    evaluation = job_of(page, "runs/.*/evaluations/")
    until_done(page, tree / evaluation)
    found = json.loads((tree / evaluation / "evaluation.json").read_text())
    assert found["records"] == 18
    page.get_by_text(f"{100 * found['top1']:.2f} %").first.wait_for()
    page.get_by_role("tab", name="Confusion").wait_for()
    page.locator("table button, [role=grid] button").first.click()
    page.locator("main img:visible").first.wait_for()

    # Both runs on one page: only what differs.
    base = page.url.split("/job/")[0]
    page.goto(f"{base}/compare?ids=" + ",".join(f"runs/{folder.name}" for folder in runs))
    page.locator(".chart canvas").first.wait_for()
    page.get_by_text("base_lr").first.wait_for()


def test_a_picture_that_is_not_one_and_a_net_that_does_not_fit_are_said(tree, serve, tab):
    page = tab(f"{serve(tree).url}/new/dataset")
    page.get_by_role("textbox", name="Folder of pictures").fill("nowhere")
    page.get_by_text("there is nothing of this name").first.wait_for()
    page.goto("about:blank")
    tab.complaints.clear()  # the browser says of each answer that it was no success


def test_two_tabs_see_the_same(tree, serve, tab):
    server = serve(tree)
    one, two = tab(server.url), tab(server.url)
    one.get_by_role("link", name="New dataset").first.wait_for()
    folder = tree / "runs" / "written"
    with job.running(folder, job.Job("train", ("train", "x"), name="seen by both")):
        for page in (one, two):
            page.get_by_text("seen by both").first.wait_for()
    for page in (one, two):
        page.locator("[data-state=done]").first.wait_for()
