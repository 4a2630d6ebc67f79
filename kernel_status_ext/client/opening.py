"""The only place where both clients meet the HTTP library: how it is opened, what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from .address import Address, address
from .calls import Calls
from .errors import BadRequest, ClientClosed
from .run_calls import RunCalls
from .steps import Answer, Ask, Failed


class Client:
    """What both clients are: a server's address, what can be asked there, an HTTP client."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        patience: float = 10.0,
        verify: Any = True,
        transport: Any = None,
    ) -> None:
        """Note where the server is; nothing is asked yet.

        Args:
            url: The server's URL with its base_url, as ``http://host:8888/user/me/``; it may carry
                ``?token=``.
            token: The server's token.
            headers: More headers.
            cookies: Cookies of a login, where there is no token.
            timeout: Seconds for a call other than ``wait``, ``watch``, ``run`` and ``follow``.
            patience: Seconds that ``wait``, ``run`` and ``follow`` go on trying to reach a server
                that has gone.
            verify: Whether to check certificates, or an ``ssl.SSLContext``.
            transport: What httpx sends requests through, for tests and special networks.

        Raises:
            ValueError: The URL is none, or the token cannot be one.
        """
        where = address(url, token, headers=headers, cookies=cookies)
        self.url = where.url
        self._calls = Calls(where.url, patience)
        self._run_calls = RunCalls(where.url, patience)
        self._open(transport, where.socket, _options(where, timeout, verify))

    def _open(self, transport: Any, socket: str | None, options: dict[str, Any]) -> None:
        """Make the HTTP client, with this transport or one to this Unix socket if any is given."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Say which server, and no secret."""
        return f"{type(self).__name__}({self.url!r})"


def _options(where: Address, timeout: float, verify: Any) -> dict[str, Any]:
    return {
        "base_url": where.url,
        "headers": dict(where.headers),
        "cookies": dict(where.cookies),
        "auth": where.login,
        "timeout": timeout,
        # A proxy of the environment has no business between us and our own machine.
        "trust_env": not where.is_here,
        # Reading all the world's certificates takes a while.
        "verify": verify if where.url.startswith("https:") else False,
        "limits": httpx.Limits(max_connections=None),
    }


def request(http: httpx.Client | httpx.AsyncClient, step: Ask) -> httpx.Request:
    """Make a request of a step."""
    timeout = http.timeout.as_dict()
    if step.patience is not None:
        timeout["read"] = step.patience
    # Not httpx's own way to send JSON: half of a character in somebody's code would stop it.
    content = None if step.body is None else json.dumps(step.body).encode()
    kind = {} if content is None else {"Content-Type": "application/json"}
    return http.build_request(
        step.method,
        step.path,
        params=step.params or None,
        headers={**kind, **step.headers},
        content=content,
        timeout=httpx.Timeout(**timeout),
    )


def is_stream(response: httpx.Response, step: Ask) -> bool:
    """Tell whether the body of an answer is left to be read bit by bit."""
    return step.stream and response.status_code == httpx.codes.OK


def answer(response: httpx.Response, body: bytes) -> Answer:
    """Tell what came."""
    headers = response.headers
    kind, location = headers.get("content-type", ""), headers.get("location", "")
    return Answer(response.status_code, body, kind, location)


def failed(error: httpx.RequestError | RuntimeError, server: object, *, closed: bool) -> Failed:
    """Tell why nothing came; the words of the library, unless they may quote what is secret.

    Args:
        error: What the library has raised: a RuntimeError of a client that is closed.
        server: The address of the server that was asked.
        closed: Whether the client is closed by now.

    Raises:
        ClientClosed: It is.
        BadRequest: What was to be sent cannot be sent.
    """
    if closed:  # whatever then came of it
        raise ClientClosed(
            f"The client for {server} was closed, so nothing more can be asked: make a new one, "
            "or close it later."
        ) from None
    if isinstance(error, RuntimeError):
        raise error
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        raise BadRequest("A header or cookie that was given cannot be sent by HTTP.") from None
    connected = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    return Failed(_why(error), connected=connected)


def _why(error: httpx.RequestError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it said nothing for too long"
    return str(error) or type(error).__name__
