"""What messages on iopub say: headers, statuses, activity."""

from __future__ import annotations

import json

import pytest
from support.dialogues import BIRTH

from kernel_status_ext.core.events import Event, RequestBegan, RequestEnded
from kernel_status_ext.core.messages import (
    CONTROL_TYPES,
    GarbledMessage,
    Header,
    is_activity,
    read_header,
    status_event,
)
from kernel_status_ext.core.model import Request

UNTRACKED = {"comm_info_request", "kernel_info_request", "kernel_info_reply", "status", "stream"}
"""Some of what `MappingKernelManager.untracked_message_types` has."""

BUSY, IDLE = b'{"execution_state": "busy"}', b'{"execution_state": "idle"}'


def tracked(msg_type: str | None) -> bool:
    """`MappingKernelManager.track_message_type`."""
    return msg_type not in UNTRACKED


def said(content: bytes, parent: Header) -> Event | None:
    """The event of a status of generation 3."""
    return status_event(parent, content, tracked, 3, BIRTH)


CELL = Header("execute_request", "m1")
RUN_OF_IT = Request("m1", is_run=True)


def test_a_header_is_read() -> None:
    """Of a header as kernels send it only what is looked at is kept."""
    raw = {
        "msg_id": "m1",
        "msg_type": "execute_request",
        "username": "u",
        "session": "s",
        "date": "2026-01-02T03:04:05.678901Z",
        "version": "5.4",
        "subshell_id": "sub",
    }
    assert read_header(json.dumps(raw).encode()) == Header("execute_request", "m1", "sub", "5.4")


def test_an_empty_header_is_read() -> None:
    """The parent of what nobody asked for is empty."""
    assert read_header(b"{}") == Header(None, "", None)


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"[]", b"null", b'"x"', b'{"msg_type": 1}', b'{"msg_id": []}'),
        *(b"\xff\xfe", b'{"msg_id": "\xff"}'),
    ],
)
def test_garbage_is_no_header(raw: bytes) -> None:
    """What is no header is told as such, whatever it is."""
    with pytest.raises(GarbledMessage):
        read_header(raw)


def test_busy_begins_and_idle_ends_a_request() -> None:
    """The event carries the request, the generation and the moment."""
    assert said(BUSY, CELL) == RequestBegan(3, BIRTH, RUN_OF_IT)
    assert said(IDLE, CELL) == RequestEnded(3, BIRTH, RUN_OF_IT)


@pytest.mark.parametrize("msg_type", ["inspect_request", "complete_request", "comm_msg", None])
def test_only_an_execute_request_is_a_run(msg_type: str | None) -> None:
    """Whatever else a shell works on makes it busy, and is no run."""
    assert said(BUSY, Header(msg_type, "m1")) == RequestBegan(3, BIRTH, Request("m1"))


def test_a_run_is_told_of_even_where_its_type_does_not_count() -> None:
    """Who takes runs out of the activity wants their kernels culled, not the runs forgotten."""
    for content, kind in ((BUSY, RequestBegan), (IDLE, RequestEnded)):
        event = status_event(CELL, content, lambda _: False, 3, BIRTH)
        assert event == kind(3, BIRTH, RUN_OF_IT)


def test_a_subshells_request_is_told_as_that() -> None:
    """The subshell's id stands in the parent header, the only mark there is (JEP 91)."""
    parent = Header("execute_request", "m1", "sub", "5.4")
    assert said(BUSY, parent) == RequestBegan(3, BIRTH, Request("m1", "sub", is_run=True))
    assert said(IDLE, parent) == RequestEnded(3, BIRTH, Request("m1", "sub", is_run=True))


def test_an_empty_subshell_id_is_the_main_shell() -> None:
    """Kernels may send the main shell's id as null or empty."""
    assert said(BUSY, Header("execute_request", "m1", "")) == RequestBegan(3, BIRTH, RUN_OF_IT)


def test_an_idle_of_nobodys_request_is_for_the_main_shell() -> None:
    """Without a parent it speaks of no request but of its shell."""
    assert said(IDLE, Header()) == RequestEnded(3, BIRTH, Request(""))


@pytest.mark.parametrize("content", [BUSY, IDLE])
@pytest.mark.parametrize("msg_type", sorted(CONTROL_TYPES))
def test_control_never_counts(msg_type: str, content: bytes) -> None:
    """Requests on control say nothing of what a shell does, tracked or not."""
    assert said(content, Header(msg_type, "m1")) is None


@pytest.mark.parametrize(
    "msg_type",
    [
        *("create_subshell_request", "delete_subshell_request", "list_subshell_request"),
        *("debug_request", "interrupt_request", "shutdown_request", "usage_request"),
    ],
)
def test_all_that_travels_on_control_is_known(msg_type: str) -> None:
    """The protocol's control requests, JEP 91's and ipykernel's are listed."""
    assert msg_type in CONTROL_TYPES


@pytest.mark.parametrize("content", [BUSY, IDLE])
@pytest.mark.parametrize("msg_type", ["comm_info_request", "kernel_info_request"])
def test_untracked_types_do_not_count(msg_type: str, content: bytes) -> None:
    """`untracked_message_types` is honoured."""
    assert said(content, Header(msg_type, "m1")) is None


@pytest.mark.parametrize("word", ["starting", "restarting", "dead", "unheard-of"])
def test_other_words_say_nothing_of_a_request(word: str) -> None:
    """Only busy and idle are about requests; readiness is never inferred from a status."""
    content = json.dumps({"execution_state": word}).encode()
    assert said(content, CELL) is None
    assert said(content, Header()) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"execution_state": 1}', b'{"execution_state": "\xff"}'],
)
def test_garbage_is_no_status(content: bytes) -> None:
    """What is no status is told as such."""
    with pytest.raises(GarbledMessage):
        said(content, CELL)


STATUS, STREAM = Header("status"), Header("stream")


@pytest.mark.parametrize("msg_type", sorted(CONTROL_TYPES))
def test_control_is_no_activity(msg_type: str) -> None:
    """Polling a kernel's memory does not keep it alive, even while it is busy."""
    for busy in (True, False):
        parent = Header(msg_type)
        assert not is_activity(STATUS, parent, tracked, busy=busy, server_session="ours")


def test_what_the_server_asks_is_no_activity() -> None:
    """A busy kernel is asked whether its interpreter answers, which must not keep it alive."""
    ours, theirs = (Header("kernel_info_request", f"{who}_1_2") for who in ("ours", "theirs"))
    told = [
        is_activity(STATUS, asked, tracked, busy=True, server_session="ours")
        for asked in (ours, theirs)
    ]
    assert told == [False, True]


@pytest.mark.parametrize(
    ("header", "parent", "busy", "counts"),
    [
        (STATUS, CELL, False, True),
        (STREAM, CELL, True, True),
        (STATUS, Header("kernel_info_request"), False, False),
        (STATUS, Header("kernel_info_request"), True, True),
        (Header("comm_msg"), Header("kernel_info_request"), False, True),
        (STREAM, Header(), False, True),
    ],
)
def test_activity_follows_stock(header: Header, parent: Header, busy: bool, counts: bool) -> None:
    """Busy, or a tracked message, or an answer to a tracked request: culling depends on it."""
    told = is_activity(header, parent, tracked, busy=busy, server_session="ours")
    assert told is counts


@pytest.mark.parametrize("field", ["msg_id", "msg_type", "subshell_id"])
def test_what_has_an_id_that_is_too_long_is_not_followed(field: str) -> None:
    """Ids are kept for every run, and 256 characters are enough for any."""
    assert read_header(json.dumps({field: "é" * 256}).encode())
    with pytest.raises(GarbledMessage, match="256"):
        read_header(json.dumps({field: "x" * 257}).encode())
