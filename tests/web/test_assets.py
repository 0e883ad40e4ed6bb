"""Scripts, styles and drawings as the server sends them."""

import pytest

from minidl.web.pages import STATIC

FILES = {
    "app.css": "text/css; charset=utf-8",
    "js/boot.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "vendor/uplot/LICENSE": "text/plain; charset=utf-8",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_its_bytes_and_its_type(client, name):
    answer = client.get(f"/static/{name}")
    assert answer.content == (STATIC / name).read_bytes()
    assert answer.headers["content-type"] == FILES[name]


def test_a_file_that_the_browser_has_is_not_sent_again(client):
    first = client.get("/static/app.css")
    again = client.get("/static/app.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/static/app.css", headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "js", "../site.py", "%2e%2e/site.py"])
def test_what_is_no_file_of_the_pages_is_not_found(client, name):
    assert client.get(f"/static/{name}").status_code in (403, 404)
