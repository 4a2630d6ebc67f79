"""Contract section 3, runs: what the stream of a run tells, from `run` to `done`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.kernel_socket import connect
from support.runs import (
    NOTHING,
    ended,
    execute,
    found,
    look,
    named,
    runs_of,
    sent,
    submit,
)
from support.server import Server
from support.sse import EVENT_STREAM
from support.stories import ask, moment

Starter = Callable[..., str]

ODD_TEXT = "a\r\n\n: b\nid: 7\n\ndata: c\u2028\u0085\x00\x1b[31m\U0001d11e\u00e9\ufeff"
"""Whatever would end an event, or begin one, if it were not told as JSON."""

RESULT = """
kernel = get_ipython().kernel
content = {{"execution_count": 7, "data": {data!r}, "metadata": {{"x": {{"a": 1}}}}}}
sent = kernel.send_response(kernel.iopub_socket, "execute_result", content)
"""
"""A result with just these forms, in their order."""

RESULTS: list[tuple[dict[str, Any], str]] = [
    ({"text/plain": "p"}, "text/plain"),
    ({"text/html": "<b>", "text/plain": "p", "image/png": "iVBORw0KGgo="}, "text/plain"),
    ({"text/html": "<b>\n\n</b>", "text/latex": "$x$"}, "text/html"),
    ({"application/json": {"a": [1, None, "é"]}, "text/html": "<b>"}, "application/json"),
    ({"application/vnd.x+json": [1, 2]}, "application/vnd.x+json"),
]

DISPLAYS = """
from IPython.display import display, update_display
display({"text/html": "<b>1</b>"}, raw=True, metadata={"text/html": {"isolated": True}})
display({"text/plain": "2"}, raw=True, display_id="it")
update_display({"text/plain": "3"}, raw=True, display_id="it")
"""


# -- output


def test_from_run_to_done(server: Server, python_kernel: str) -> None:
    """What is printed, then the result, then the end, and the run says the same afterwards."""
    told = execute(server, python_kernel, "print('a')\nprint('b')\n6 * 7")
    assert [name for name in told.names if name != "stdout"] == ["run", "result", "done"]
    assert told.text("stdout") == "a\nb\n"
    (result,) = told.of("result")
    assert (result["data"], result["metadata"]) == ({"text/plain": "42"}, {})
    assert told.done == {
        "run_id": told.run["run_id"],
        "success": True,
        "status": "ok",
        "output": {"mimetype": "text/plain", "data": "42"},
    }
    run = look(server, told.run["run_id"])
    assert (run["status"], run["error"]) == ("ok", None)
    assert run["execution_count"] == result["execution_count"]


def test_what_is_known_of_a_run(server: Server, python_kernel: str) -> None:
    """Kernel, code, user, process and times are those of the request and of the kernel."""
    code = "x = 'é'\n"
    run = ended(server, submit(server, python_kernel, code, timeout=77)["run_id"])
    kernel = server.status(python_kernel)
    assert (run["kernel_id"], run["kernel_name"]) == (python_kernel, "python3")
    assert (run["code"], run["timeout"], run["status"]) == (code, 77, "ok")
    assert run["username"] == server.get("api/me")["identity"]["username"]
    assert (run["worker_pid"], run["generation"]) == (kernel["pid"], kernel["generation"])
    assert (run["session"], run["path"]) == (None, None)
    assert moment(run["ended_at"]) - moment(run["queued_at"]) < 10


def test_a_run_knows_its_notebook(server: Server) -> None:
    """Of a kernel with a session it names that and its path; without a timeout it has none."""
    session = server.session("a/b é.ipynb", server.fake())
    kernel = session["kernel"]["id"]
    server.settled(kernel)
    run = ended(server, submit(server, kernel, "nothing")["run_id"])
    assert (run["session"], run["path"]) == (session["id"], "a/b é.ipynb")
    assert run["timeout"] is None
    server.delete(kernel)


def test_the_stream_is_one_of_events(server: Server, python_kernel: str) -> None:
    """It says so, and that nobody may keep it."""
    with sent(server, python_kernel, "1") as stream:
        assert stream.response.headers["Content-Type"].startswith(EVENT_STREAM)
        assert {"no-cache", "no-store"} & set(stream.response.headers["Cache-Control"].split(", "))
        stream.whole()


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html", "", None])
def test_without_a_stream(server: Server, fake: Starter, accept: str | None) -> None:
    """Whoever does not ask for a stream has 202 and the run, and finds it at its `Location`."""
    headers = {} if accept is None else {"Accept": accept}
    answer = server.http.post(runs_of(fake()), json={"code": "nothing"}, headers=headers)
    assert answer.status_code == 202, answer.text
    run = answer.json()["run"]
    assert found(server, answer)["run_id"] == run["run_id"]
    assert ended(server, run["run_id"])["status"] == "ok"


def test_output_comes_while_it_runs(server: Server, python_kernel: str) -> None:
    """What a cell prints is told long before it ends, and so is that it runs."""
    gate = server.gate()
    code = f"import sys\nprint('early', flush=True)\n{gate.cell}\nprint('late', file=sys.stderr)"
    with sent(server, python_kernel, code) as stream:
        assert stream.until(named("stdout")).data == {"data": "early\n"}
        run = look(server, stream.told[0].data["run"]["run_id"])
        assert (run["status"], run["ended_at"], run["reason"]) == ("running", None, "")
        assert stream.silent()
        gate.open()
        told = stream.whole()
    assert (told.text("stdout"), told.text("stderr")) == ("early\n", "late\n")
    assert told.done["success"] is True


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_odd_text(server: Server, python_kernel: str, stream: str) -> None:
    """Line ends of all kinds, control characters and what looks like an event arrive as sent."""
    told = execute(server, python_kernel, f"import sys; _ = sys.{stream}.write({ODD_TEXT!r})")
    assert told.text(stream) == ODD_TEXT
    assert told.text({"stdout": "stderr", "stderr": "stdout"}[stream]) == ""


def test_all_lines_in_their_order(server: Server, python_kernel: str) -> None:
    """Five thousand lines, each flushed, past the limit of a websocket that looks on."""
    code = "for i in range(5000): print(i, flush=True)"
    with connect(server, python_kernel):
        told = execute(server, python_kernel, code, within=60)
    assert told.text("stdout").split() == [str(number) for number in range(5000)]
    assert told.done["success"] is True


def test_one_big_piece(server: Server, fake: Starter) -> None:
    """A display of three million characters is one event."""
    told = execute(server, fake(), "big 3000000")
    (display,) = told.of("display")
    assert display["data"] == {"text/plain": "x" * 3_000_000}


@pytest.mark.parametrize(("data", "form"), RESULTS, ids=[form for _, form in RESULTS])
def test_the_output_is_one_form_of_the_result(
    server: Server, python_kernel: str, data: dict[str, Any], form: str
) -> None:
    """`text/plain` wherever it stands, else the first form, as a string, if need be of JSON."""
    told = execute(server, python_kernel, RESULT.format(data=data))
    assert told.of("result") == [
        {"data": data, "metadata": {"x": {"a": 1}}, "execution_count": 7},
    ]
    output = told.done["output"]
    assert output["mimetype"] == form
    text = output["data"]
    assert (text if isinstance(data[form], str) else json.loads(text)) == data[form]


def test_no_result_is_no_output(server: Server, python_kernel: str) -> None:
    """What is printed or displayed is none."""
    told = execute(server, python_kernel, DISPLAYS + "print(1)\nNone")
    assert told.done["output"] == NOTHING
    assert told.done["success"] is True


def test_displays_and_their_updates(server: Server, python_kernel: str) -> None:
    """Each display has its forms, its metadata and its id; an update says that it is one."""
    assert execute(server, python_kernel, DISPLAYS).of("display") == [
        {
            "data": {"text/html": "<b>1</b>"},
            "metadata": {"text/html": {"isolated": True}},
            "display_id": None,
            "update": False,
        },
        {"data": {"text/plain": "2"}, "metadata": {}, "display_id": "it", "update": False},
        {"data": {"text/plain": "3"}, "metadata": {}, "display_id": "it", "update": True},
    ]


@pytest.mark.parametrize("wait", [True, False])
def test_output_is_cleared(server: Server, python_kernel: str, wait: bool) -> None:
    """That output is to be cleared stands between what came before and after."""
    code = "from IPython.display import clear_output\nprint(1, flush=True)\n"
    told = execute(server, python_kernel, f"{code}clear_output(wait={wait})\nprint(2, flush=True)")
    assert told.of("clear") == [{"wait": wait}]
    at = told.names.index("clear")
    assert {"stdout"} == set(told.names[1:at])
    assert told.text("stdout").split() == ["1", "2"]


# -- failures

FAILURES = {
    "an error": ("print('before')\n1 / 0", "ZeroDivisionError", "division by zero"),
    "an error further down": (
        "def inner(): return {}['gone']\ndef outer(): return inner()\nprint('before')\nouter()",
        "KeyError",
        "'gone'",
    ),
    "an error without words": ("print('before')\nraise RuntimeError", "RuntimeError", ""),
    "a result before an error": ("print('before')\n_ = 5\nassert _ == 6, 'six'", "Asser", "six"),
}


@pytest.mark.parametrize(("code", "name", "words"), FAILURES.values(), ids=FAILURES)
def test_an_error(server: Server, python_kernel: str, code: str, name: str, words: str) -> None:
    """The traceback is the last of stderr, the run has its name; what came before stays."""
    told = execute(server, python_kernel, code)
    assert told.text("stdout") == "before\n"
    assert (told.names[-2], told.status) == ("stderr", "error")
    assert name in told.text("stderr")
    assert words in told.text("stderr")
    error = look(server, told.run["run_id"])["error"]
    assert error["ename"].startswith(name)
    assert error["evalue"] == words
    assert execute(server, python_kernel, "1 + 1").done["output"]["data"] == "2"


@pytest.mark.parametrize("code", ["1 +", "def f(:\n  pass", "x = 'open", "  x = 1\n y = 2"])
def test_code_that_cannot_be_read(server: Server, python_kernel: str, code: str) -> None:
    """A SyntaxError is an error like others: told as stderr, with its name."""
    told = execute(server, python_kernel, code)
    error = look(server, told.run["run_id"])["error"]
    assert error["ename"] in ("SyntaxError", "IndentationError")
    assert error["ename"] in told.text("stderr")
    assert told.status == "error"


def test_a_result_is_no_output_of_a_failure(server: Server, python_kernel: str) -> None:
    """What fails after its result has told that result, and has no output in the end."""
    told = execute(server, python_kernel, RESULT.format(data={"text/plain": "5"}) + "\n1 / 0")
    assert [each["data"] for each in told.of("result")] == [{"text/plain": "5"}]
    assert told.done["output"] == NOTHING


@pytest.mark.parametrize("code", ["input('name? ')", "import getpass; getpass.getpass()"])
def test_input_is_refused(server: Server, python_kernel: str, code: str) -> None:
    """There is nobody to be asked: it fails at once, and says that it was for the input."""
    told = execute(server, python_kernel, code)
    assert told.status == "error"
    assert "input" in told.text("stderr")
    assert look(server, told.run["run_id"])["error"]["ename"] == "StdinNotImplementedError"


# -- what a request may say


def test_silent(server: Server, python_kernel: str) -> None:
    """A silent run tells no result, counts nothing, and ends all the same."""
    before = execute(server, python_kernel, "1").of("result")[0]["execution_count"]
    told = execute(server, python_kernel, "silently = 5\nsilently", silent=True)
    assert told.names == ["run", "done"]
    assert told.done["output"] == NOTHING
    after = execute(server, python_kernel, "silently").of("result")[0]
    assert (after["data"]["text/plain"], after["execution_count"]) == ("5", before + 1)


def test_not_in_the_history(server: Server, python_kernel: str) -> None:
    """Without `store_history` the kernel does not count it."""
    before = execute(server, python_kernel, "1").of("result")[0]["execution_count"]
    told = execute(server, python_kernel, "'told'", store_history=False)
    assert told.done["output"]["data"] == "'told'"
    assert execute(server, python_kernel, "1").of("result")[0]["execution_count"] == before + 1


def test_metadata_reaches_the_kernel(server: Server, python_kernel: str) -> None:
    """What the caller says about the request is said to the kernel."""
    code = "get_ipython().kernel.get_parent('shell')['metadata'].get('cellId')"
    told = execute(server, python_kernel, code, metadata={"cellId": "ä-1", "more": [{}]})
    assert told.done["output"]["data"] == "'ä-1'"


@pytest.mark.parametrize("stops", [True, False, None])
def test_what_an_error_does_to_those_behind(
    server: Server, python_kernel: str, stops: bool | None
) -> None:
    """They are aborted, with a reason, unless the failing run says that it stops nobody."""
    gate = server.gate()
    more = {} if stops is None else {"stop_on_error": stops}
    first = submit(server, python_kernel, f"{gate.cell}\n1 / 0", **more)["run_id"]
    with sent(server, python_kernel, "print('second')") as second:
        second.next()
        gate.open()
        told = second.whole()
    assert ended(server, first)["status"] == "error"
    assert told.status == ("ok" if stops is False else "aborted"), told.text("stderr")
    assert told.text("stdout") == ("second\n" if stops is False else "")
    assert execute(server, python_kernel, "1").status == "ok"


def test_runs_keep_their_order(server: Server, python_kernel: str) -> None:
    """Thirty that are sent one after the other run one after the other."""
    gate = server.gate()
    codes = [f"{gate.cell}\nseen = []", *(f"seen.append({number})" for number in range(30))]
    ids = [submit(server, python_kernel, code)["run_id"] for code in codes]
    assert server.status(python_kernel)["queued"] == ids[1:]
    gate.open()
    runs = [ended(server, run_id) for run_id in ids]
    assert {(run["status"], run["reason"]) for run in runs} == {("ok", "")}
    seen = execute(server, python_kernel, "seen").done["output"]["data"]
    assert json.loads(seen) == list(range(30))


def test_on_a_subshell(server: Server, kernel: str) -> None:
    """A run on a subshell ends while the main shell is at work, and `running` tells of both."""
    gate, other = server.gate(), server.gate()
    with server.client(kernel) as client:
        subshell = ask(client, "create_subshell_request", "control")["subshell_id"]
    main = submit(server, kernel, gate.cell)["run_id"]
    with sent(server, kernel, f"print(1, flush=True)\n{other.cell}", subshell_id=subshell) as side:
        side.until(named("stdout"))
        status = server.status(kernel)
        assert set(status["running"]) == {main, side.told[0].data["run"]["run_id"]}
        assert status["queued"] == []
        other.open()
        assert side.whole().status == "ok"
    assert look(server, main)["status"] == "running"
    gate.open()
    assert ended(server, main)["status"] == "ok"


def test_on_no_subshell(server: Server, python_kernel: str) -> None:
    """A run on a subshell that is not there fails, and says which it was."""
    told = execute(server, python_kernel, "print(1)", subshell_id="no-such-subshell")
    assert told.status in ("error", "aborted")
    assert "no-such-subshell" in told.text("stderr")
    assert told.text("stdout") == ""
