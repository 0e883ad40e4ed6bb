"""Modules of the pages by themselves: curves as numbers, figures in words, what is never markup."""

import json
import math

import pytest


@pytest.fixture
def run(tmp_path, serve, tab):
    """Run the body of a function in a page; `series`, `format`, `dom` are the modules."""
    page = tab(serve(tmp_path).url)

    def begin(body):
        modules = [f"import('/static/js/lib/{name}.js')" for name in ("series", "format", "dom")]
        head = f"const [series, format, dom] = await Promise.all([{', '.join(modules)}]);"
        return page.evaluate(f"async () => {{ {head} {body} }}")

    return begin


def test_curves_are_thinned_smoothed_and_go_back(run):
    found = run("""
        const values = Array.from({length: 10000}, (_, i) => Math.sin(i / 50));
        values[1234] = 7; values[5678] = -7; values[9000] = null;
        const kept = series.extremes(values, 200).map((i) => values[i]);
        const line = new series.Points();
        for (let i = 0; i < 100; i++) line.push(i, i, null, i);
        line.push(40, 200, null, -1);  // a run that was resumed
        const sizes = [line.length, line.last];
        line.rewind(20);
        for (let i = 21; i < 9000; i++) line.push(i, i, null, i % 7);
        return {kept, sizes, length: line.length, first: line.iter[0], last: line.iter.at(-1),
                even: series.smooth([1, 1, null, 1, 2], 0.5)};
    """)
    assert len(found["kept"]) <= 202 and {7, -7, None} <= set(found["kept"])
    assert found["sizes"] == [41, -1]
    assert found["length"] <= 3200 and (found["first"], found["last"]) == (0, 8999)
    assert found["even"][:4] == [1, 1, None, 1]  # without a pull towards zero
    assert found["even"][4] == pytest.approx(1.4375 / 0.9375)


EVENTS = [
    {"event": "display", "iter": 10, "loss": 0.5, "lr": 0.1, "seconds": 2, "images": 640,
     "outputs": {"loss": 0.6, "top": [1, 2]}, "final": False},
    {"event": "display", "iter": 20, "loss": None, "lr": 0.1, "outputs": {}, "final": True},
    {"event": "test", "iter": 20, "net": 0, "outputs": {"accuracy": 0.9, "loss": 0.3}},
    {"event": "test", "iter": 20, "net": 1, "outputs": {"accuracy": 0.8}, "loss": 0.4},
    {"event": "snapshot", "iter": 20, "weights": "a", "state": "b"},
]  # fmt: skip


def test_figures_have_the_names_that_the_server_gives_them(run):
    from minidl.web.figures import figures_of

    found = run(f"return {json.dumps(EVENTS)}.map(series.figures)")
    for event, page in zip(EVENTS, found, strict=True):
        server = [[n, None if math.isnan(v) else v] for n, v in figures_of(event)]
        assert sorted(page) == sorted(server)


WORDS = {
    "num(0.123456)": "0.1235",
    "num(12345)": "12,345",
    "num(-0.5, 2)": "−0.50",
    "num(1.5e-7)": "1.5e-7",
    "num(NaN)": "–",
    "percent(0.9812)": "98.1 %",
    "bytes(2_000_000)": "2.0 MB",
    "duration(5)": "5.0 s",
    "duration(3725)": "1 h 02 min",
    "duration(200_000)": "2 d 7 h",
    'figure("test accuracy", 0.98765)': "98.77 %",
    'figure("train loss", 0.98765)': "0.9877",
    'plural(1, "run")': "1 run",
    'plural(1200, "run")': "1,200 runs",
}


def test_figures_are_said_in_few_words(run):
    found = run(f"const f = format; return [{', '.join('f.' + words for words in WORDS)}]")
    assert dict(zip(WORDS, found, strict=True)) == WORDS


def test_what_people_write_becomes_text(run):
    found = run("""
        const bad = '<img src=x onerror="window.hurt = 1">';
        const node = dom.h("p", {title: bad, class: bad}, bad, [bad, null, false]);
        document.body.append(node);
        await new Promise((done) => setTimeout(done, 100));
        const hurt = window.hurt ?? null;
        return {children: node.childElementCount, text: node.textContent, hurt};
    """)
    bad = '<img src=x onerror="window.hurt = 1">'
    assert found == {"children": 0, "text": bad * 2, "hurt": None}
