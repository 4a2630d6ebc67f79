"""What code that was written for Jupyter Server alone relies on, with the extension in place."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from jupyter_client.kernelspec import NoSuchKernel
from jupyter_server.services.kernels.kernelmanager import (
    AsyncMappingKernelManager,
    MappingKernelManager,
)
from support.server import Server
from tornado import web
from tornado.httpclient import HTTPClientError
from tornado.simple_httpclient import HTTPTimeoutError

from kernel_status_ext.core.errors import KernelLaunchError
from kernel_status_ext.jupyter.failures import as_http
from kernel_status_ext.jupyter.gateway import raise_in_gateway_words
from kernel_status_ext.jupyter.mapping import TrackedMappingKernelManager, tracked_mapping_class

MANAGER = SimpleNamespace(kernel_name="odd", provisioner=None, _launch_args={})


@pytest.mark.parametrize(
    "error",
    [
        NoSuchKernel("odd"),
        FileNotFoundError(2, "No such file", "/odd"),
        PermissionError(13, "No", "/odd"),
        RuntimeError("odd"),
        ValueError("odd"),
        KeyError("odd"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
        TimeoutError(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_failed_start_is_also_of_upstreams_class(error: Exception) -> None:
    """Whoever catches what upstream raises catches ours, with its fields and our sentence."""
    failed = as_http(MANAGER, error)
    assert isinstance(failed, type(error))
    assert isinstance(failed, web.HTTPError)
    assert isinstance(failed, KernelLaunchError)
    assert str(failed) == failed.sentence != ""
    assert failed.status_code == (404 if isinstance(error, NoSuchKernel) else 500)
    assert vars(error).items() <= vars(failed).items()


@pytest.mark.parametrize("base", [MappingKernelManager, AsyncMappingKernelManager])
def test_servers_one_after_the_other(base: type) -> None:
    """A class that a server before left behind is configured again, and laid over only once."""
    first, second = SimpleNamespace(), SimpleNamespace()
    before = tracked_mapping_class(base, first)
    after = tracked_mapping_class(before, second)
    assert (before.kernel_status, after.kernel_status) == (first, second)
    assert after.__mro__.count(TrackedMappingKernelManager) == 1
    assert before not in after.__mro__
    theirs = type("Theirs", (before,), {})
    own = tracked_mapping_class(theirs, second)
    assert issubclass(own, theirs)
    assert (own.kernel_status, own.__name__) == (second, "Theirs")


def refused(happened: Exception, *args: str) -> web.HTTPError:
    """What the gateway client raises from what happened, as jupyter_server 2.21 does."""
    error = web.HTTPError(getattr(happened, "code", 503), "Error from Gateway: [%s] %s.", *args)
    error.__cause__ = happened
    return error


@pytest.mark.parametrize(
    ("happened", "code", "words"),
    [
        (HTTPClientError(403, "Forbidden"), 403, "100 % of what is allowed"),
        (HTTPClientError(500, "Oh"), 500, "no room"),
        (HTTPTimeoutError("Timeout while connecting"), 504, "Timeout while connecting"),
        (HTTPClientError(599, "Stream closed"), 502, "Stream closed"),
    ],
)
def test_a_gateways_own_words(happened: Exception, code: int, words: str) -> None:
    """A refusal keeps the gateway's status and words; no answer is a status that there is."""
    with pytest.raises(web.HTTPError) as told:
        raise_in_gateway_words(refused(happened, words, "a reason"))
    assert told.value.status_code == code
    assert words in told.value.log_message.replace("%%", "%")
    assert "[%s]" not in told.value.log_message


def test_what_is_no_gateways_is_left_alone() -> None:
    """Errors of other origin are for others to raise."""
    raise_in_gateway_words(web.HTTPError(503))
    raise_in_gateway_words(refused(ConnectionError("refused")))


BODIES = ([], 7, {"name": 7}, {"path": ["a"]}, {"kernel_id": 7}, {"kernel_id": "nobody"})


def test_a_restart_that_fails_unforeseen_and_bodies_that_are_no_wish() -> None:
    """Core's 500 in JSON for the one, 400 that names the field and no kernel for the others."""
    config = {"ServerApp": {"kernel_manager_class": "user_classes.BrokenRestartMapping"}}
    with Server(config=config) as server:
        kernel = server.connected(server.fake())
        answer = server.http.post(f"api/kernels/{kernel}/restart")
        assert answer.status_code == 500, answer.text
        assert answer.json()["message"] == "Exception restarting kernel"
        assert "reason" in answer.json()
        for body in BODIES:
            answer = server.http.post("api/kernels", json=body)
            assert answer.status_code == 400, answer.text
            field = next(iter(body)) if isinstance(body, dict) else "body"
            assert field in answer.json()["message"].split()[:2]
        assert list(server.models()) == [kernel]
