"""The only place that reads a server's address and knows how to identify there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit, urlunsplit

UNIX = "http+unix"
SCHEMES = ("http", "https", "http+unix")
LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - not bound, only compared

XSRF = "_xsrf"
"""The cookie by which a page of another site is told from one of the server's own."""

PAGES = ("lab", "tree", "notebooks")
"""Where the addresses lead that Jupyter prints with a token for people."""


class BadAddress(ValueError):
    """An address or a token that can be none; the message says what is one."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and what opens its door.

    Attributes:
        url: The base_url, ending in a slash, without a token; also what messages show.
        headers: What identifies us.
        cookies: The same, for who has logged in in a browser.
        login: Name and password that stood in the URL.
        socket: The path of the Unix socket that the server listens to, or None.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)
    socket: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, with which no proxy has any business."""
        return self.socket is not None or urlsplit(self.url).hostname in LOOPBACK

    @property
    def place(self) -> str:
        """The address in a form in which two can be compared."""
        parts = urlsplit(self.url)
        host = "localhost" if parts.hostname in LOOPBACK else parts.hostname
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        return f"{parts.scheme}:{self.socket or host}:{port}{unquote(parts.path)}"


def address(
    url: str,
    token: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
) -> Address:
    """Read an address.

    Args:
        url: The server's URL with its base_url; it may carry ``?token=``, end in ``/lab`` then,
            and be ``http+unix://%2Fpath%2Fof%2Fsocket/`` for a Unix socket.
        token: The server's token; it goes before the URL's.
        headers: More headers.
        cookies: Cookies of a login.

    Returns:
        The address.

    Raises:
        BadAddress: It is none, or the token cannot be one.
    """
    parts = _parts(url)
    its_own = parse_qs(parts.query).get("token", [""])[0]
    token = (token or its_own).strip()
    if not (token.isascii() and token.replace(" ", "").isprintable()):
        raise BadAddress("The token has characters that no token has; copy it again.")
    own = {"Authorization": f"token {token}"} if token else {}
    mine = dict(cookies or {})
    if not token or XSRF in mine:
        # tornado 6.6, check_xsrf_cookie: cookie and header must be the same, whoever made them up,
        # and jupyter_server asks for both where no token is given, also if it has none.
        own["X-XSRFToken"] = mine.setdefault(XSRF, secrets.token_hex(16))
    plain = _plain(parts, is_page=bool(its_own))
    return Address(
        url=plain,
        # jupyter_server 2.21, JupyterHandler.check_referer: without one a cookie is not enough.
        headers={"Referer": plain, **own, **(headers or {})},
        cookies=mine,
        login=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
        socket=unquote(parts.netloc) if parts.scheme == UNIX else None,
    )


def _plain(parts: SplitResult, *, is_page: bool) -> str:
    """Make the URL that requests are made of, without all that is nobody's business."""
    is_unix = parts.scheme == UNIX
    plain = parts._replace(
        scheme="http" if is_unix else parts.scheme,
        netloc="localhost" if is_unix else parts.netloc.rpartition("@")[2],
        path=_base(parts.path, is_page=is_page),
        query="",
        fragment="",
    )
    return urlunsplit(plain)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in SCHEMES or not parts.netloc or not url.isprintable():
        shown = url.partition("?")[0].rpartition("@")[2]
        raise BadAddress(f"{shown!r} is no address of a server; like http://localhost:8888/ it is.")
    return parts


def _base(path: str, *, is_page: bool) -> str:
    base = path.rstrip("/")
    if is_page:
        for page in PAGES:
            base = base.removesuffix(f"/{page}")
    return f"{base}/"
