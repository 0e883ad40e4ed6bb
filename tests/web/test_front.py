"""The pages' own files: nothing inline, nothing from elsewhere, and small."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "minidl" / "web"
STATIC, TEMPLATES = WEB / "static", WEB / "templates"
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
MOST_BYTES = 250_000  # of a page with all that it loads
IMPORT = re.compile(r"""(?:from|import)\s*"(\.[^"]+)\"""")
LATER = re.compile(r"""import\(\s*"(\.[^"]+)"\s*\)""")  # when a tab is first chosen


class Inline(HTMLParser):
    """Collects what the content security policy would not let run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        names = [name for name in facts if name == "style" or name.startswith("on")]
        if names or tag == "style" or (tag == "script" and "src" not in facts):
            self.found.append(f"<{tag} {' '.join(names)}>")
        if tag in ("script", "link", "img"):
            self.loads.append(facts.get("src") or facts.get("href") or "")


def markup(path):
    text = re.sub(r"\{#.*?#\}", "", path.read_text("utf-8"), flags=re.DOTALL)
    parser = Inline()
    parser.feed(text)
    return parser


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_a_template_has_nothing_inline_and_loads_nothing_from_elsewhere(path):
    found = markup(path)
    assert found.found == []
    assert [url for url in found.loads if not url.startswith("/static/")] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_builds_elements_from_text_only(path):
    text = path.read_text("utf-8")
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    assert re.findall(ways, text) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_imports_files_that_exist_and_says_what_it_is(path):
    text = path.read_text("utf-8")
    names = IMPORT.findall(text) + LATER.findall(text)
    missing = [name for name in names if not (path.parent / name).is_file()]
    assert missing == []
    assert text.startswith("//")


def test_vendored_files_are_those_of_the_release():
    folder = STATIC / "vendor" / "uplot"
    sums = dict(
        reversed(line.split()) for line in (folder / "SHA256SUMS").read_text("ascii").splitlines()
    )
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert found == sums


def imported(path):
    """Return a module with all that it imports at once."""
    seen, todo = set(), [path]
    while todo:
        module = todo.pop().resolve()
        if module not in seen:
            seen.add(module)
            text = module.read_text("utf-8")
            todo += [module.parent / name for name in IMPORT.findall(text)]
    return seen


def weight(page):
    """Return the bytes of a page with all that it loads of ours, its heaviest tab included."""
    files = {TEMPLATES / f"{page}.html", TEMPLATES / "base.html"}
    own = (TEMPLATES / f"{page}.html").read_text("utf-8")
    base = (TEMPLATES / "base.html").read_text("utf-8")
    if "set charts" not in own:
        base = re.sub(r'"/static/vendor/[^"]+"', "", base)
    loaded = {STATIC / name for name in re.findall(r'"/static/([^"{}]+)"', own + base)}
    files |= loaded
    for path in loaded:
        files |= imported(path) if path.suffix == ".js" else set()
    module, tabs = STATIC / "js" / "pages" / f"{page}.js", []
    if module.is_file():
        files |= imported(module)
        names = LATER.findall(module.read_text("utf-8"))
        tabs = [size(imported(module.parent / name) - files) for name in names]
    return size(files) + max(tabs, default=0)


def size(files):
    return sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("page", sorted(path.stem for path in TEMPLATES.glob("*.html")))
def test_a_page_is_light(page):
    bytes_ = weight(page)
    print(f"{page}: {bytes_ / 1000:.0f} kB")
    assert bytes_ < MOST_BYTES


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_a_template_needs_no_more_than_the_server_gives(path):
    pages = pytest.importorskip("minidl.web.pages", reason="minidl[web] is absent")
    error = {"message": "is not there", "where": "<b>", "expected": "", "fix": ""}
    facts = {"page": path.stem, "id": "runs/a", "title": "<i>", "job": None, "version": "1"}
    facts |= {"root": "/r", "allow_python": False, "query": {}, "error": error}
    text = pages.environment().get_template(path.name).render(facts)
    assert "&lt;i&gt; · minidl</title>" in text
    assert "<b>" not in text and "<i>" not in text
