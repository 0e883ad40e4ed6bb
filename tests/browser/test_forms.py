"""Forms, data sets, evaluations and the inside of a net, in a browser: as people click through."""

import os
import subprocess
import sys

import pytest

from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_living_pages import until

pytest.importorskip("lmdb", reason="lmdb is not installed")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

JOB_MS = 120_000  # how long a small job may take on a busy machine
KINDS = ("bar", "dot", "frame")


def picture(kind, number):
    """A grey picture of 28 x 28 with one of three shapes, each at a place of its own."""
    made = Image.new("L", (28, 28), number % 40)
    left, top = 3 + number % 7, 2 + number % 5
    if kind == "bar":
        made.paste(200, (left, top, left + 4, top + 18))
    else:
        made.paste(220, (left, top, left + 14, top + 14))
        if kind == "frame":
            made.paste(number % 40, (left + 3, top + 3, left + 11, top + 11))
    return made


def minidl(root, *words):
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "minidl", *words]
    subprocess.run(command, cwd=root, env=env, check=True, capture_output=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with pictures, a data set of them, a run, an evaluation and an inspection."""
    root = tmp_path_factory.mktemp("forms")
    for kind in KINDS:
        folder = root / "pictures" / kind
        folder.mkdir(parents=True)
        for number in range(20):
            picture(kind, number).save(folder / f"{number:02d}.png")
    (root / "pictures" / "dot" / "torn.png").write_bytes(b"not a picture")
    minidl(root, "dataset", "folder", "pictures", "--out", "data/shapes")
    train = "train --net lenet --data data/shapes --epochs 2 --batch-size 16 --out runs/lenet"
    minidl(root, *train.split())
    minidl(root, "evaluate", "runs/lenet", "--out", "runs/lenet/evaluations/val")
    minidl(root, "show", "runs/lenet", "pictures/bar/00.png", "--out", "runs/lenet/shown/bar")
    return root


def says(page, selector, words):
    """Wait until an element is there and says this."""
    until(page, f"(document.querySelector({selector!r})?.innerText ?? '').includes({words!r})", 60)


@pytest.fixture
def server(root, serve):
    return serve(root)


PAGES = {
    "new dataset": ("/new/dataset?folder=pictures", ".mode img[src]"),
    "new run": ("/new/run?data=data/shapes", ".chart canvas"),
    "new evaluation": ("/new/evaluation?run=runs/lenet", ".cmd pre span"),
    "dataset": ("/job/data/shapes", ".bars li"),
    "explore": ("/explore/data/shapes?split=val", ".shot img"),
    "confusion": ("/job/runs/lenet/evaluations/val?truth=bar", ".items .shot img"),
    "classes": ("/job/runs/lenet/evaluations/val?tab=classes", ".share"),
    "errors": ("/job/runs/lenet/evaluations/val?tab=records", ".shot img"),
    "best": ("/job/runs/lenet/evaluations/val?tab=best", ".shot img"),
    "inside": ("/job/runs/lenet/shown/bar", ".tiles img"),
    "net": ("/job/runs/lenet?tab=net", ".net-box"),
    "test": ("/job/runs/lenet?tab=test", ".drop"),
}

# Nothing but colours differs in the dark; all other rules take a minute.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dark", "size"), [(False, WIDE), (True, NARROW)], ids=["light and wide", "dark and narrow"]
)
def test_pages_can_be_read_by_everybody(server, tab, dark, size):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is absent")
    found = {}
    page = tab(f"{server.url}/new/dataset", dark, size)
    for name, (path, sign) in PAGES.items():
        page.goto(server.url + path)
        page.wait_for_selector(sign)
        until(page, "!document.querySelector('.dim')")  # what is being asked for anew is pale
        rules = axe.Axe().run(page, options=COLOURS if dark else None).response["violations"]
        found[name] = [(one["id"], one["nodes"][0]["target"]) for one in rules]
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{name} is {wider} pixels wider than the window"
    assert found == dict.fromkeys(PAGES, [])


def test_a_folder_is_looked_at_before_it_becomes_a_data_set(server, tab, root):
    page = tab(f"{server.url}/new/dataset")
    page.get_by_role("button", name="Create dataset").click()
    assert page.locator(".error:visible").inner_text() == "Folder of pictures: this is missing."
    assert page.evaluate("document.activeElement.name") == "pictures"

    page.get_by_role("button", name="Browse for: Folder of pictures").click()
    page.locator(".picker").get_by_text("pictures", exact=True).click()
    page.locator(".picker").get_by_text("frame", exact=True).wait_for()
    page.get_by_role("button", name="Use this folder").click()
    assert page.input_value("[name=pictures]") == "pictures"
    page.wait_for_selector(".scan .bars")
    said = page.locator(".scan").inner_text()
    assert "60 pictures in 3 classes, 20 of each. All are 28 × 28" in said
    assert "1 file cannot be read and will be left out." in said

    page.fill("[name=size]", "20")
    page.locator(".mode[data-mode=fill]").click()
    until(page, "document.querySelectorAll('.mode img[src]').length === 4")
    page.fill("[name=val]", "20")
    page.fill("[name=name]", "Small shapes")
    command = "dataset folder pictures --out data/small-shapes --val 20 --test 0 --size 20"
    says(page, ".cmd", command)
    assert "--resize fill" in page.locator(".cmd").inner_text()

    page.get_by_role("button", name="Create dataset").click()
    page.wait_for_url("**/job/data/small-shapes")
    page.wait_for_selector("h2:text('Classes')", timeout=JOB_MS)
    assert (root / "data" / "small-shapes" / "dataset.json").is_file()
    page.get_by_role("link", name="Explore").click()
    page.wait_for_selector(".shot img")
    page.get_by_label("Class", exact=True).select_option("frame")
    until(
        page, "[...document.querySelectorAll('.shot-words')].every(x => /^frame/.test(x.innerText))"
    )
    assert "label=2" in page.url
    page.locator(".shot").first.click()
    page.wait_for_selector("dialog .stage img")
    assert "20 × 20" in page.locator("dialog").inner_text()


def test_a_net_is_checked_as_one_types_and_a_sweep_is_a_group(server, tab):
    page = tab(f"{server.url}/new/run?data=data/shapes")
    says(page, ".run-plan .kv", "45 train, 15 val")
    page.get_by_role("button", name="Edit its prototxt").click()
    text = page.locator(".editor textarea")
    text.wait_for()
    net = text.input_value()
    text.fill(net.replace('bottom: "conv1"', 'bottom: "conv9"', 1))
    page.wait_for_selector(".fault")
    assert "bottom[0] 'conv9' is unknown" in page.locator(".fault").inner_text()
    line = int(page.locator(".fault code").inner_text().partition(":")[0])
    assert line == 1 + net[: net.index('name: "pool1"')].count("\n")
    page.locator(".fault").click()
    assert (
        text.evaluate("area => area.value.slice(0, area.selectionStart).split('\\n').length")
        == line
    )

    text.fill(net)
    until(page, "document.querySelectorAll('.fault').length === 0")
    says(page, ".net-said", "parameters")
    page.fill("[name=rate]", "0.01, 0.001")
    page.fill("[name=epochs]", "10")
    page.select_option("[name=policy]", "multistep")
    page.get_by_label("Steps at").fill("40, 80")
    until(page, "document.querySelectorAll('.cmd pre span').length === 2")
    lines = page.locator(".cmd pre span").all_inner_texts()
    assert all("--policy multistep:40,80,0.5" in line for line in lines)
    assert ["--rate 0.01 " in lines[0], "--rate 0.001 " in lines[1]] == [True, True]
    assert page.get_by_role("button", name="Start 2 jobs").is_visible()
    says(page, ".run-plan", "2 rates: 2 runs")


def test_behind_a_cell_are_its_pictures_and_a_clone_is_the_same_run(server, tab):
    page = tab(f"{server.url}/job/runs/lenet/evaluations/val")
    page.wait_for_selector(".matrix")
    cell = page.locator(".matrix td button:not(.none)").first
    count = int(cell.get_attribute("aria-label").split()[0])
    cell.click()
    page.wait_for_selector(".items .shot")
    assert page.locator(".items .shot").count() == count
    assert "truth=" in page.url and "predicted=" in page.url
    page.reload()
    page.wait_for_selector(".items .shot")
    assert page.locator(".items .shot").count() == count

    page.goto(f"{server.url}/new/run?clone=runs/lenet")
    said = "train --net lenet --data data/shapes --out runs/lenet-2 --epochs 2 --batch-size 16"
    says(page, ".cmd", said)
    assert "--rate" not in page.locator(".cmd").inner_text()


def test_a_picture_is_tried_and_followed_through_the_net(server, tab, root):
    page = tab(f"{server.url}/job/runs/lenet?tab=test")
    page.set_input_files(".drop input", root / "pictures" / "bar" / "03.png")
    page.wait_for_selector(".tried .tops")
    assert page.locator(".tried .tops li").count() == 3
    page.get_by_role("button", name="Look inside the net").click()
    page.wait_for_selector(".inside-layer", timeout=JOB_MS)
    names = page.locator(".inside-layer h2").all_inner_texts()
    assert names[1:4] == ["conv1", "pool1", "conv2"]
    page.locator(".tiles").nth(1).click()
    page.wait_for_selector(".tiles-large img")
    page.keyboard.press("Escape")
    page.get_by_label("Find a layer").fill("ip2")
    until(page, "document.querySelectorAll('.inside-layer').length === 1")
