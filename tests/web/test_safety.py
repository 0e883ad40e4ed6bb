"""Hosts, origins, tokens, bodies and headers: what other sites' pages may not do."""

from __future__ import annotations

import pytest

from minidl.web import app, safety
from minidl.web.safety import Rules
from tests.web.browser import TestClient

FORM = {"kind": "dataset", "form": {"source": "digits"}}
TOKEN = "a-long-secret"


def browser(site, rules=None, **options):
    return TestClient(app.make(site, rules or Rules()), base_url="http://127.0.0.1:8080", **options)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8080", "", "[::2]", "0.0.0.0"]
)
def test_a_host_that_is_not_ours_is_refused_whatever_is_asked(site, host):
    found = browser(site).get("/api/v1/zoo", headers={"host": host})
    assert found.status_code == 403
    assert "Host" in found.json()["error"]["message"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_names_of_the_loopback_are_ours(site, host):
    rules = Rules(safety.hosts("127.0.0.1", ()), 8080)
    assert browser(site, rules).get("/api/v1/zoo", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("port", ["9090", "x", "-1", "80800"])
def test_another_port_is_another_server(site, port):
    rules = Rules(safety.hosts("127.0.0.1", ()), 8080)
    found = browser(site, rules).get("/api/v1/zoo", headers={"host": f"127.0.0.1:{port}"})
    assert found.status_code == 403


def test_a_name_can_be_allowed(site):
    rules = Rules(safety.hosts("127.0.0.1", ["lab.example"]))
    assert (
        browser(site, rules).get("/api/v1/zoo", headers={"host": "lab.example"}).status_code == 200
    )


CROSS = {
    "another origin": {"origin": "http://evil.example"},
    "another port": {"origin": "http://127.0.0.1:9999"},
    "no origin": {"origin": "null"},
    "cross-site": {"sec-fetch-site": "cross-site"},
    "same-site": {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:8080"},
    "a cookie alone": {"cookie": "a=b"},
}


@pytest.mark.parametrize("headers", CROSS.values(), ids=CROSS.keys())
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_change_that_another_site_asks_for_is_refused(site, headers, method):
    found = browser(site).request(method, "/api/v1/command", json=FORM, headers=headers)
    assert found.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"},
    ],
)
def test_our_own_pages_and_programs_may_ask_for_changes(site, headers):
    found = browser(site).post("/api/v1/command", json=FORM, headers=headers)
    assert found.status_code == 200


def test_a_form_of_another_site_cannot_pass_for_json(site):
    plain = {"content-type": "text/plain"}
    found = browser(site).post("/api/v1/command", content='{"kind": "dataset"}', headers=plain)
    assert found.status_code == 400
    assert "application/json" in found.json()["error"]["expected"]


def test_without_the_token_nothing_is_shown(site):
    client = browser(site, Rules(token=TOKEN))
    for path in ("/", "/static/x.css", "/api/v1/jobs", "/?token=wrong", "/?token=", "/?token=é"):
        assert client.get(path).status_code == 403, path
    assert client.post(f"/api/v1/command?token={TOKEN}", json=FORM).status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(site):
    client = browser(site, Rules(token=TOKEN), follow_redirects=False)
    found = client.get(f"/compare?ids=a&token={TOKEN}")
    assert found.status_code == 303
    assert found.headers["location"] == "/compare?ids=a"
    cookie = found.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert client.get("/api/v1/zoo").status_code == 200  # the cookie is kept


def test_the_token_never_sends_a_browser_elsewhere(site):
    client = browser(site, Rules(token=TOKEN), follow_redirects=False)
    found = client.get(f"http://127.0.0.1:8080//evil.example/?token={TOKEN}")
    assert found.headers["location"].startswith("/evil")


def test_a_program_shows_the_token_in_a_header(site):
    client = browser(site, Rules(token=TOKEN))
    good = {"authorization": f"Bearer {TOKEN}"}
    assert client.post("/api/v1/command", json=FORM, headers=good).status_code == 200
    bad = {"authorization": f"Bearer {TOKEN}x"}
    assert client.post("/api/v1/command", json=FORM, headers=bad).status_code == 403


@pytest.mark.parametrize("path", ["/", "/api/v1/zoo", "/nothing", "/static/nothing"])
def test_every_answer_has_the_policy(site, path):
    headers = browser(site).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_a_refusal_has_the_policy_too(site):
    found = browser(site).get("/", headers={"host": "evil.example"})
    assert "default-src 'none'" in found.headers["content-security-policy"]


def test_a_large_body_is_refused_before_it_is_read(site):
    announced = {"content-length": str(safety.LARGEST_BODY + 1), "content-type": "application/json"}
    found = browser(site).post("/api/v1/command", content=b"{}", headers=announced)
    assert found.status_code == 413


def test_a_body_that_does_not_say_its_size_is_bounded(site, monkeypatch):
    monkeypatch.setattr(safety, "LARGEST_BODY", 1000)
    parts = (b" " * 300 for _ in range(10))
    found = browser(site).post(
        "/api/v1/command", content=parts, headers={"content-type": "application/json"}
    )
    assert found.status_code == 413


@pytest.mark.parametrize(
    "host, alone",
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.1.2", False),
        ("example.org", False),
        ("::", False),
    ],
)
def test_what_is_this_machine_alone(host, alone):
    assert safety.is_loopback(host) is alone
