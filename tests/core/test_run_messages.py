"""What the messages about runs say, also those of kernels that are not strict."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_status_ext.core.messages import GarbledMessage
from kernel_status_ext.core.run import Failure
from kernel_status_ext.core.run_messages import (
    ERROR_LIMIT,
    OUTPUTS,
    Cleared,
    Displayed,
    Error,
    Output,
    Reply,
    Resulted,
    Stderr,
    Stdout,
    read_content,
    read_error,
    read_input,
    read_output,
    read_reply,
    read_request,
)
from kernel_status_ext.core.words import RunStatus

ODD: list[Any] = [None, True, 1, -1, 1.5, float("nan"), "", "x", "\udc80", [], [1], {}, {"a": 1}]
"""What may stand where something else is expected."""


def empty(content: dict[str, Any]) -> dict[str, Any]:
    """What an object is read as that has nothing of use."""
    return content if isinstance(content, dict) else {}


# -- contents --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"{}", {}),
        (b'{"code": "1"}', {"code": "1"}),
        (b' {"a" : 1 }\n', {"a": 1}),
        (b'{"text": "\xff\xfe"}', {"text": "\ufffd\ufffd"}),
        (b'{"text": "\\udc80"}', {"text": "?"}),
        (b'{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_a_content_is_read_as_jupyter_reads_it(raw: bytes, content: dict[str, Any]) -> None:
    """Bytes that are no text are replaced; what is odd inside is left as it is."""
    assert read_content(raw) == content


def test_a_number_that_is_none_is_read() -> None:
    """Python kernels write NaN and Infinity, which are no JSON."""
    content = read_content(b'{"n": NaN, "i": -Infinity}')
    assert content["n"] != content["n"]
    assert content["i"] == float("-inf")


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b'{"a": }', b"\xff", b"\x00", b"nonsense", b"{}{}"),
        *(b"[" * 200_000, b'{"a":' * 200_000),
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_what_is_no_json_is_garbage(raw: bytes) -> None:
    """Whatever it is, also when it is nested too deeply to be read."""
    with pytest.raises(GarbledMessage):
        read_content(raw)


@pytest.mark.parametrize("raw", [b"[]", b"null", b"1", b'"x"', b"NaN", b"true"])
def test_what_is_no_object_is_garbage(raw: bytes) -> None:
    """The message says what it is instead."""
    with pytest.raises(GarbledMessage, match="and no object"):
        read_content(raw)


# -- requests and what is said of them -----------------------------------------------------------


def test_a_request_is_read() -> None:
    """Its code and whether it is silent."""
    assert read_request({"code": "x", "silent": True}) == ("x", True)
    assert read_request({"code": "x", "silent": False}) == ("x", False)
    assert read_request({}) == ("", False)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_request_reads_as_if_its_fields_were_absent(odd: Any) -> None:
    """Only text is code, only true is silent."""
    code, silent = read_request({"code": odd, "silent": odd})
    assert code == (odd if isinstance(odd, str) else "")
    assert silent is (odd is True)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_input_reads_as_if_its_fields_were_absent(odd: Any) -> None:
    """Only text is code; only a whole number is one, and true is none."""
    code, count = read_input({"code": odd, "execution_count": odd})
    assert code == (odd if isinstance(odd, str) else "")
    assert count == (odd if type(odd) is int else None)


# -- failures ----------------------------------------------------------------------------------


def test_a_failure_is_read() -> None:
    """Its traceback joined by lines, as the kernel coloured it."""
    content = {"ename": "E", "evalue": "v", "traceback": ["\x1b[31mone", "two"]}
    assert read_error(content) == Error(Failure("E", "v"), "\x1b[31mone\ntwo\n")


@pytest.mark.parametrize("traceback", [[], None, "a\nb", 3, {}, {"a": 1}])
def test_a_failure_without_a_traceback_is_told_by_its_name(traceback: Any) -> None:
    """Something is shown of every failure."""
    content = {"ename": "E", "evalue": "v", "traceback": traceback}
    assert read_error(content).traceback == "E: v\n"
    assert read_error({"evalue": "127", "traceback": traceback}).traceback == "127\n"


def test_lines_that_are_no_text_are_shown_as_they_are() -> None:
    """A kernel that numbers its lines is read all the same."""
    assert read_error({"traceback": ["a", 1, None]}).traceback == "a\n1\nNone\n"


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_failure_reads_as_if_its_fields_were_absent(odd: Any) -> None:
    """A failure without a name is a failure."""
    error = read_error({"ename": odd, "evalue": odd, "traceback": odd})
    name = odd if isinstance(odd, str) else ""
    assert error.failure == Failure(name, name)
    assert isinstance(error.traceback, str)


def test_nothing_of_a_failure_is_seen_where_it_must_not_be() -> None:
    """Neither its name nor its value: both may hold what the traceback holds."""
    secret = {"ename": "Secret", "evalue": "secret", "traceback": ["secret"], "status": "error"}
    hidden = Error(Failure("ExecutionError", "Execution error"), "hidden\n")
    assert read_error(secret, "hidden") == hidden
    assert read_reply(secret, "hidden").error == hidden
    assert read_error(secret, "").traceback == "", "an empty replacement is one"


# -- replies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("ok", RunStatus.OK),
        ("error", RunStatus.ERROR),
        ("aborted", RunStatus.ABORTED),
        ("abort", RunStatus.ABORTED),
        ("OK", RunStatus.ERROR),
        ("", RunStatus.ERROR),
        ("died", RunStatus.ERROR),
    ],
)
def test_a_reply_says_how_it_went(word: str, status: RunStatus) -> None:
    """Only what the protocol calls well is well."""
    reply = read_reply({"status": word, "execution_count": 3})
    assert (reply.status, reply.execution_count) == (status, 3)
    assert (reply.error is not None) == (status is RunStatus.ERROR)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_reply_is_a_failure(odd: Any) -> None:
    """Nobody can tell that it went well."""
    reply = read_reply({"status": odd, "execution_count": odd})
    assert reply.status is RunStatus.ERROR
    assert reply.execution_count == (odd if type(odd) is int else None)


def test_an_empty_reply_is_a_failure_without_a_word() -> None:
    """It has no name and no value."""
    assert read_reply({}) == Reply(RunStatus.ERROR, None, Error(Failure("", ""), ": \n"))


# -- outputs -----------------------------------------------------------------------------------

DATA, METADATA = {"text/plain": "1"}, {"isolated": True}


def raw(value: object) -> msgspec.Raw:
    """JSON as a kernel writes it."""
    return msgspec.Raw(json.dumps(value).encode())


def whole(text: str) -> str:
    """Text without halves of surrogate pairs, which cannot be passed on."""
    return text.encode("utf-8", "replace").decode()


def put_out(kind: str, content: dict[str, Any]) -> Output:
    """What is read of a message."""
    return read_output(kind, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("kind", "content", "output"),
    [
        ("stream", {"name": "stdout", "text": "a"}, Stdout("a")),
        ("stream", {"name": "stderr", "text": "a"}, Stderr("a")),
        ("stream", {"name": "stdlog", "text": "a"}, Stdout("a")),
        ("stream", {"text": "a"}, Stdout("a")),
        ("clear_output", {"wait": True}, Cleared(wait=True)),
        ("clear_output", {}, Cleared(wait=False)),
        (
            "execute_result",
            {"data": DATA, "metadata": METADATA, "execution_count": 4},
            Resulted(raw(DATA), raw(METADATA), 4),
        ),
        (
            "display_data",
            {"data": DATA, "metadata": METADATA, "transient": {"display_id": "d"}},
            Displayed(raw(DATA), raw(METADATA), "d", update=False),
        ),
        (
            "update_display_data",
            {"data": DATA, "transient": {"display_id": "d"}},
            Displayed(raw(DATA), raw({}), "d", update=True),
        ),
        ("display_data", {"data": DATA}, Displayed(raw(DATA), raw({}), None, update=False)),
    ],
)
def test_what_a_run_puts_out_is_read(kind: str, content: dict[str, Any], output: Output) -> None:
    """Each of the five forms."""
    assert kind in OUTPUTS
    assert put_out(kind, content) == output


@pytest.mark.parametrize(
    "written", [b'{\n "a": "\xff"}', b'{\n"a": NaN}', b'{"a":\r"\\ud800"}', b'{"a": "\xff"}']
)
def test_what_would_break_a_stream_is_written_anew(written: bytes) -> None:
    """Each event is text on one line, whatever the kernel's own JSON looks like."""
    shown = read_output("display_data", b'{"data": ' + written + b"}")
    assert isinstance(shown, Displayed)
    text = bytes(shown.data).decode()
    assert not set(text) & set("\n\r")
    assert set(json.loads(text)) == {"a"}


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_output_reads_as_if_its_fields_were_absent(kind: str, odd: Any) -> None:
    """No kernel can put out what is of a wrong type."""
    fields = ("name", "text", "wait", "data", "metadata", "execution_count", "transient")
    output = put_out(kind, dict.fromkeys(fields, odd))
    match output:
        case Stdout(text) | Stderr(text):
            assert text == (whole(odd) if isinstance(odd, str) else "")
        case Cleared(wait):
            assert wait is (odd is True)
        case Resulted(data, metadata, count):
            assert json.loads(bytes(data)) == json.loads(bytes(metadata)) == empty(odd)
            assert count == (odd if type(odd) is int else None)
        case Displayed(data, metadata, display_id, _):
            assert json.loads(bytes(data)) == json.loads(bytes(metadata)) == empty(odd)
            assert display_id is None


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_only_text_names_a_display(odd: Any) -> None:
    """An update finds what it takes the place of by it."""
    output = put_out("display_data", {"transient": {"display_id": odd}})
    assert isinstance(output, Displayed)
    assert output.display_id == (whole(odd) if isinstance(odd, str) else None)


# -- whatever comes ------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        *("code", "silent", "status", "execution_count", "ename", "evalue", "traceback"),
        *("name", "text", "wait", "data", "metadata", "transient"),
    ]
)
READERS: list[Callable[[dict[str, Any]], object]] = [
    *(read_request, read_input, read_error, read_reply),
    *(lambda content, kind=kind: put_out(kind, content) for kind in OUTPUTS),
]


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(st.dictionaries(FIELDS, VALUES))
def test_no_content_stops_a_reader(content: dict[str, Any]) -> None:
    """Whatever a kernel sends is read as something that can travel on."""
    sent = read_content(json.dumps(content).encode())
    for read in READERS:
        assert json.dumps(str(read(sent)))


@pytest.mark.parametrize("character", ["x", "é", "🐍"])
def test_what_a_failure_says_is_kept_up_to_a_limit(character: str) -> None:
    """Its name and its value, cut between two characters; its traceback is output and goes on."""
    told = character * 1_000_000
    error = read_error({"ename": told, "evalue": told, "traceback": [told]})
    for kept in (error.failure.ename, error.failure.evalue):
        assert ERROR_LIMIT - 4 < len(kept.encode()) <= ERROR_LIMIT
        assert told.startswith(kept)
    assert error.traceback == f"{told}\n"
