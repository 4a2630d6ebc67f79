"""Reading what a kernel has been through, as short stories, and sending it requests."""

from __future__ import annotations

import itertools
import os
import queue
import re
import signal
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .server import PATIENCE, Server

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
"""The one form of times."""

STATUS_KEYS = {
    *(
        "id",
        "name",
        "state",
        "status",
        "execution_state",
        "reason",
        "cause",
        "revision",
        "generation",
        "pid",
        "kernel_pid",
        "since",
    ),
    *(
        "started_at",
        "connected_at",
        "restart_count",
        "running",
        "queued",
        "waiting_for_input",
        "subshells",
    ),
    "last_termination",
}
TERMINATION_KEYS = {
    *(
        "generation",
        "pid",
        "cause",
        "reason",
        "hint",
        "exit_code",
        "signal",
        "expected",
        "requested_by",
        "started_at",
    ),
    *("finished_at", "run_id", "peak_memory", "cpu_seconds", "traceback"),
}
CHANGE_KEYS = {
    "revision",
    "at",
    "generation",
    "status",
    "execution_state",
    "state",
    "reason",
    "cause",
}
STOCK_KEYS = {"id", "name", "last_activity", "execution_state", "connections"}
MODEL_KEYS = STOCK_KEYS | {"status", "reason"}


def moment(text: str) -> float:
    """Seconds since the epoch of a time in the one form."""
    assert TIME.fullmatch(text), f"{text!r} is not like 2026-01-02T03:04:05.678901Z"
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def changes(server: Server, kernel_id: str, after: int = 0) -> list[dict[str, Any]]:
    """The changes of the kernel that are later than this revision."""
    return [change for change in server.history(kernel_id)["changes"] if change["revision"] > after]


def story(seen: Iterable[dict[str, Any]], word: str) -> list[Any]:
    """What one word was, each value once for as long as it lasted."""
    return [value for value, _ in itertools.groupby(change[word] for change in seen)]


def reply_to(
    client: BlockingKernelClient, channel: str, msg_id: str, timeout: float = PATIENCE
) -> dict[str, Any]:
    """The reply to this request, others dropped."""
    receive = client.get_control_msg if channel == "control" else client.get_shell_msg
    while True:
        reply = receive(timeout=timeout)
        if reply["parent_header"].get("msg_id") == msg_id:
            return reply


def request(
    client: BlockingKernelClient,
    msg_type: str,
    content: dict[str, Any] | None = None,
    channel: str = "shell",
    subshell_id: str | None = None,
) -> str:
    """Send a request and give its id."""
    message = client.session.msg(msg_type, content or {})
    if subshell_id is not None:
        message["header"]["subshell_id"] = subshell_id
    (client.control_channel if channel == "control" else client.shell_channel).send(message)
    return message["header"]["msg_id"]


def ask(
    client: BlockingKernelClient, msg_type: str, channel: str = "shell", **content: object
) -> dict[str, Any]:
    """Send a request and give the content of its reply."""
    return reply_to(client, channel, request(client, msg_type, content, channel))["content"]


def execute(client: BlockingKernelClient, code: str, subshell_id: str | None = None) -> str:
    """Send a cell and give its id."""
    content = {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
    }
    return request(client, "execute_request", content, subshell_id=subshell_id)


def heard(
    client: BlockingKernelClient, state: str, *msg_ids: str, timeout: float = PATIENCE
) -> None:
    """Wait until the kernel has published this state for each of these requests."""
    deadline, missing = time.monotonic() + timeout, set(msg_ids)
    while missing:
        try:
            message = client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            msg = f"no {state} for {missing} within {timeout} s"
            raise AssertionError(msg) from None
        if message["content"].get("execution_state") == state:
            missing.discard(message["parent_header"].get("msg_id"))


def run(server: Server, kernel_id: str, code: str) -> dict[str, Any]:
    """Run a cell over zmq and give the content of its reply."""
    with server.client(kernel_id) as client:
        return reply_to(client, "shell", execute(client, code))["content"]


def kill(server: Server, kernel_id: str, how: signal.Signals = signal.SIGKILL) -> int:
    """Signal the present process of the kernel as anybody could from outside, and give its pid."""
    pid = server.status(kernel_id)["pid"]
    os.kill(pid, how)
    return pid


def come_back(server: Server, kernel_id: str, after: int) -> dict[str, Any]:
    """Wait until the kernel is connected again, after this revision, and give its status."""
    answer = server.wait(kernel_id, status="connected", since=after)
    assert answer.status_code == 200, answer.text
    return answer.json()
