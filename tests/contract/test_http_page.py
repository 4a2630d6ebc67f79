"""Contract section 6: the page `/kernel-status` as it is answered; `browser` has what it does."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from support.authorizers import HEADER
from support.server import Server

from kernel_status_ext.api.page import policy
from kernel_status_ext.ui import STATIC

PAGE = "kernel-status"
FILES = sorted(each.name for each in (STATIC / "kernel-status").iterdir())
LINKED = re.compile(r'(?:src|href)="([^"#]+)"')
SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
OUTSIDE = re.compile(r"https?://(?!www\.w3\.org/2000/svg\b)")
"""Another host; the name of a kind of elements is none."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose authorizer denies what a request asks to be denied."""
    config = {"ServerApp": {"authorizer_class": "authorizers.DenyByHeader"}}
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def page(server: Server) -> httpx.Response:
    """The page."""
    answer = server.http.get(PAGE)
    assert answer.status_code == 200
    return answer


def policies(answer: httpx.Response) -> list[str]:
    """The content security policies of an answer, each of which a browser keeps."""
    return answer.headers.get_list("Content-Security-Policy")


def test_who_is_not_logged_in_is_sent_to_the_login(server: Server) -> None:
    """Without login a browser is redirected to the server's login page, which leads back."""
    answer = httpx.get(f"{server.http.base_url}{PAGE}")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{server.base_url}login?next=")
    assert answer.headers["Location"].endswith("kernel-status")


def test_who_may_see_it(server: Server) -> None:
    """It is for those who may read kernels, and asks for nothing else."""
    assert server.http.get(PAGE, headers={HEADER: "read:kernels"}).status_code == 403
    for denied in ("write:kernels", "execute:kernels", "read:sessions"):
        assert server.http.get(PAGE, headers={HEADER: denied}).status_code == 200


def test_a_slash_more_is_forgiven(server: Server) -> None:
    """An address that ends with a slash leads to the page."""
    assert server.http.get(f"{PAGE}/", follow_redirects=True).status_code == 200


def test_all_that_it_links_to_is_there(server: Server, page: httpx.Response) -> None:
    """Its scripts and styles are served by this server, below its base_url, and checked for age."""
    linked = [urljoin(str(page.url), each) for each in LINKED.findall(page.text)]
    own = [each for each in linked if "/static/kernel_status_ext/" in each]
    assert sorted({each.rsplit("/", 1)[1] for each in own}) == FILES
    for each in own:
        answer = server.http.get(each)
        kind = "text/css" if each.endswith(".css") else "javascript"
        assert answer.status_code == 200
        assert kind in answer.headers["Content-Type"]
        assert answer.headers["Cache-Control"] == "no-cache"
    assert all(each.startswith(str(server.http.base_url)) for each in linked)


@pytest.mark.parametrize("name", FILES)
def test_no_other_host_and_no_markup_from_text(name: str) -> None:
    """No script or style names another host, and no script makes markup of text."""
    text = Path(STATIC, "kernel-status", name).read_text()
    assert OUTSIDE.findall(text) == []
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"):
        assert forbidden not in text


def test_it_has_no_token(server: Server, page: httpx.Response) -> None:
    """The server's template would write the token into its pages; this one has none."""
    assert server.token not in page.text


def test_the_servers_policy_stays(server: Server, page: httpx.Response) -> None:
    """The server's own policy stands beside the page's, so it can only become stricter."""
    own = server.http.get("api").headers["Content-Security-Policy"]
    assert len(policies(page)) == 2
    assert policies(page)[0].partition(";")[0] == own.partition(";")[0] == "frame-ancestors 'self'"


def test_only_scripts_of_the_page_run(page: httpx.Response) -> None:
    """Scripts come from this server; of inline ones only those that the template has itself."""
    inline = SCRIPT.findall(page.text)
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inline]
    rules = dict(each.split(" ", 1) for each in policies(page)[1].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == ["'self'", *(f"'sha256-{each}'" for each in hashes)]
    assert rules["connect-src"] == rules["style-src"] == "'self'"
    assert "unsafe" not in policies(page)[1]


def test_a_users_own_policy_stays() -> None:
    """A policy that somebody configured for the server is sent as it is, beside the page's."""
    strict = "default-src 'self' https://example.org"
    settings = {"headers": {"Content-Security-Policy": strict}}
    with Server(config={"ServerApp": {"tornado_settings": settings}}) as server:
        assert policies(server.http.get(PAGE))[0] == strict


def test_a_users_own_template_is_extended() -> None:
    """The page stands in the template that this server uses for its pages, with its scripts."""
    with Server() as plain:
        folder = plain.folder / "templates"
        folder.mkdir()
        own = "<style>p{}</style><script>1</script>{% block site %}{% endblock %}<p>Our school</p>"
        (folder / "page.html").write_text(own)
        with Server(config={"ServerApp": {"extra_template_paths": [str(folder)]}}) as server:
            answer = server.http.get(PAGE)
    assert "Our school" in answer.text
    assert '<table class="kernels"' in answer.text
    assert policy("<style>p{}</style><script>1</script>") == policies(answer)[1]


def test_a_template_without_inline_scripts_allows_none() -> None:
    """Scripts that are loaded get no hash."""
    assert "sha256" not in policy('<script type="module" src="/a.js"></script>')
