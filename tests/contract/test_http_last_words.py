"""Contract sections 1, 2 and 7: what a kernel left on stderr, and what it tells of its end."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from support.server import PATIENCE, Server, eventually, held_for
from support.start_failures import (
    TRACEBACK_LIMIT,
    exec_fake,
    failed_start,
    last_words,
    python,
    shell,
    squatted,
    user_file,
)
from support.stderr_texts import IN_USE, LOADER, TEXTS, Text
from support.stories import MODEL_KEYS, changes, come_back, execute, kill, run, story

Starter = Callable[..., str]

COLOUR = re.compile("\x1b\\[[0-9;]*m")
HIDDEN = "The house shows no tracebacks."
LINE = "the same line of about sixty characters, again and again"


@pytest.fixture(scope="module")
def short() -> Iterator[Server]:
    """A server that keeps the last 200 bytes of stderr."""
    with Server(config={"KernelStatusApp": {"stderr_tail": 200}}) as server:
        yield server


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    """A server that leaves stderr to the kernels."""
    with Server(config={"KernelStatusApp": {"capture_stderr": False}}) as server:
        yield server


@pytest.fixture(scope="module")
def hiding() -> Iterator[Server]:
    """A server that shows no tracebacks."""
    config = {
        "MappingKernelManager": {
            "allow_tracebacks": False,
            "traceback_replacement_message": HIDDEN,
        }
    }
    with Server(config=config) as server:
        yield server


@pytest.fixture(scope="module")
def folder(server: Server) -> str:
    """A folder below the server's root with files of the user's that shadow modules."""
    for name in ("random.py", "zmq.py"):
        user_file(server.root / name[:-3], name)
        user_file(server.root / "both", name)
    return str(server.root / "both")


# -- why native code gave up

LIBC = "import ctypes as c; libc = c.CDLL(None); "
GAVE_UP = {
    "libc": (
        LIBC + "libc.malloc.restype = c.c_void_p; libc.free(c.c_void_p(libc.malloc(64) + 16))",
        'it said "free(): invalid pointer"; native code damaged its memory',
    ),
    "python": (
        LIBC + "c.pythonapi.Py_FatalError(b'the night is over')",
        "the night is over",
    ),
    "c++": (
        "import ctypes; ctypes.CDLL('libstdc++.so.6')._ZSt9terminatev()",
        'it said "terminate called without an active exception"',
    ),
}
"""Real ends of native code, and what has to be said of them."""


@pytest.mark.skipif(sys.platform != "linux", reason="these are the words of Linux' libraries")
@pytest.mark.parametrize("how", GAVE_UP)
def test_native_code_says_why_it_gave_up(server: Server, start: Starter, how: str) -> None:
    """The line that a runtime writes before it aborts is in the sentence."""
    code, words = GAVE_UP[how]
    last = ended_by(server, start(server.fake()), f"exec {code}")
    assert (last["cause"], last["signal"]) == ("Aborted", "SIGABRT")
    assert words in last["reason"]


def test_native_code_that_says_nothing_is_not_quoted(server: Server, start: Starter) -> None:
    """Where nothing was written nobody is sent to look for it."""
    last = ended_by(server, start(server.fake()), "exec import os; os.abort()")
    assert (last["cause"], last["traceback"]) == ("Aborted", "")
    assert "stderr" not in last["reason"]
    assert "words" not in last["reason"]


def ended_by(server: Server, kernel: str, code: str) -> dict:
    """Run what ends a kernel's process, and give the end."""
    before = server.status(kernel)["revision"]
    # Through the server: of a direct client's cell nothing may be known where its busy is lost.
    answer = server.http.post(f"api/kernels/{kernel}/runs", json={"code": code})
    assert answer.status_code == 202, answer.text
    return come_back(server, kernel, before)["last_termination"]


# -- which start failures have a cause of their own


@pytest.mark.parametrize(
    ("args", "module"),
    [
        (("-m", "no_such_module_xyz"), "no_such_module_xyz"),
        (("-c", "import no_such_xyz.and_more"), "no_such_xyz"),
        (("-S", "-m", "ipykernel_launcher"), "ipykernel_launcher"),
    ],
)
def test_missing_module(server: Server, start: Starter, args: tuple[str, ...], module: str) -> None:
    """A Python without the module is told by the module's name and by which Python it was."""
    kernel = start(python(server, *args), wait=False)
    status = failed_start(server, kernel)
    assert status["cause"] == "ModuleNotFound"
    assert module in status["reason"]
    assert sys.executable in status["reason"]
    last = last_words(server, kernel)
    assert (last["exit_code"], last["signal"], last["expected"]) == (1, None, False)
    assert f"No module named {module}" in last["traceback"].replace("'", "")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("module", ["random", "zmq"])
@pytest.mark.parametrize("how", ["PYTHONPATH", "working directory"])
def test_shadowed_module(server: Server, start: Starter, module: str, how: str) -> None:
    """A file of the user's in the place of a module is told by its path."""
    shadow = server.root / module
    if how == "PYTHONPATH":
        env = {"PYTHONPATH": str(shadow)}
        args = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
        kernel = start(python(server, *args, env=env), wait=False)
    else:
        name = python(server, "-m", "ipykernel", "-f", "{connection_file}")
        kernel = server.session(f"{module}/n.ipynb", name)["kernel"]["id"]
    status = failed_start(server, kernel)
    assert status["cause"] == "ShadowedModule"
    assert str(shadow / f"{module}.py") in status["reason"]
    server.http.delete(f"api/kernels/{kernel}")


@pytest.mark.parametrize(
    "text", ["import random\n\nmine = random.randint(1, 2)\n", "import uses_random\n"]
)
def test_shadowed_module_that_imports_itself(server: Server, start: Starter, text: str) -> None:
    """So is one that stumbles over itself, in its own lines or in a library that it imports."""
    path = user_file(server.root / f"circle-{len(text)}", "random.py", text)
    user_file(path.parent, "uses_random.py", "import random\n\nmine = random.Random(1)\n")
    env = {"PYTHONPATH": str(path.parent)}
    status = failed_start(server, start(python(server, "-c", "import random", env=env), wait=False))
    assert (status["cause"], str(path) in status["reason"]) == ("ShadowedModule", True)


def test_shadowing_file_that_is_not_the_trouble(
    server: Server, start: Starter, folder: str
) -> None:
    """Where another module is missing, a shadowing file beside it is not blamed."""
    name = python(server, "-c", "import no_such_xyz", env={"PYTHONPATH": folder})
    status = failed_start(server, start(name, wait=False))
    assert (status["cause"], "random.py" in status["reason"]) == ("ModuleNotFound", False)


@pytest.mark.parametrize("module", ["json", "house_of_mine"])
def test_missing_name(server: Server, start: Starter, module: str) -> None:
    """A name that its module lacks is an ImportError, the user's own modules included."""
    path = user_file(server.root / "own", "house_of_mine.py").parent
    code = f"from {module} import no_such_name_xyz"
    kernel = start(python(server, "-c", code, env={"PYTHONPATH": str(path)}), wait=False)
    status = failed_start(server, kernel)
    assert status["cause"] == "ImportError"
    assert ("no_such_name_xyz" in status["reason"], module in status["reason"]) == (True, True)


@pytest.mark.parametrize(
    ("code", "causes"),
    [
        ("raise ImportError('libzmq.so.5: cannot open shared object file')", {"ImportError"}),
        (
            "import ctypes; ctypes.CDLL('libzmq.so.nobody')",
            {"ImportError", "StartFailed"},
        ),
    ],
)
def test_missing_library(server: Server, start: Starter, code: str, causes: set[str]) -> None:
    """A shared library that Python cannot load is named."""
    status = failed_start(server, start(python(server, "-c", code), wait=False))
    assert "libzmq.so." in status["reason"]
    assert status["cause"] in causes


def test_missing_library_of_a_native_kernel(server: Server, start: Starter) -> None:
    """A shared library that the system's loader cannot find is named, and the exit code kept."""
    kernel = start(shell(server, f"echo '{LOADER}' >&2; exit 127"), wait=False)
    status = failed_start(server, kernel)
    assert "libzmq.so.5" in status["reason"]
    assert last_words(server, kernel)["exit_code"] == 127


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_stderr_said(server: Server, fake: Starter, folder: str, text: Text) -> None:
    """What people find on stderr has its cause, and the reason says the part that matters."""
    left = text.text.replace("{folder}", folder)
    kernel = fake("die-at-start", code=5, stderr=left, wait=False)
    status = failed_start(server, kernel)
    assert status["cause"] == text.cause, status["reason"]
    for word in text.says:
        assert word.replace("{folder}", folder) in status["reason"]
    for word in text.not_says:
        assert word not in status["reason"]
    last = last_words(server, kernel)
    assert last["exit_code"] == 5
    assert last["traceback"].split() == COLOUR.sub("", left).split()


def test_signal_says_more_than_stderr(server: Server, fake: Starter) -> None:
    """A signal that ends a start is the cause, whatever stands on stderr."""
    text = TEXTS["module"].text
    kernel = fake("die-at-start", signal=int(signal.SIGSEGV), stderr=text, wait=False)
    assert failed_start(server, kernel)["cause"] == "SegmentationFault"
    assert "pandas_xyz" in last_words(server, kernel)["traceback"]


def test_import_error_of_a_connected_kernel(server: Server, fake: Starter) -> None:
    """Once a kernel was connected, what stands on stderr does not make it a failed start."""
    gate = server.gate()
    words = {"stderr": TEXTS["module"].text, "last-words": TEXTS["name"].text}
    kernel = fake("die-on-gate,good", gate=gate, code=3, **words)
    before = server.status(kernel)["revision"]
    gate.open()
    come_back(server, kernel, before)
    last = last_words(server, kernel)
    assert (last["cause"], last["exit_code"]) == ("Error", 3)
    assert last["traceback"].count("pandas_xyz") == last["traceback"].count("IPKernelApp") == 1


def test_restart_of_a_failed_start_fails_again(server: Server, start: Starter) -> None:
    """A failed start that somebody tries again is dead again at once, by what it says then."""
    kernel = start(python(server, "-m", "no_such_module_xyz"), wait=False)
    before = failed_start(server, kernel)
    server.restart(kernel)
    status = server.wait(kernel, status="dead", since=before["revision"]).json()
    assert (status["cause"], status["generation"], status["restart_count"]) == (
        "ModuleNotFound",
        1,
        0,
    )
    assert len(server.history(kernel)["terminations"]) == 2


def test_start_retries_keep_what_was_said() -> None:
    """With `start_retries=1` the second start may do; the first one's cause is kept."""
    with Server(config={"KernelStatusApp": {"start_retries": 1}}) as server:
        text = TEXTS["module"].text
        lucky = server.connected(server.fake(mode="die-at-start,good", stderr=text))
        assert last_words(server, lucky)["cause"] == "ModuleNotFound"
        assert (server.status(lucky)["generation"], server.status(lucky)["reason"]) == (1, "")
        name = server.fake(mode="die-at-start", stderr=text)
        unlucky = server.start_kernel(name)
        server.until_dead(unlucky)
        assert last_words(server, unlucky)["cause"] == "ModuleNotFound"
        assert len(server.starts(name)) == 2


# -- an address in use


@pytest.mark.parametrize("real", [True, False])
def test_address_in_use(server: Server, start: Starter, real: bool) -> None:
    """A kernel whose port somebody else has is started once more, with other ports, and comes."""
    name = squatted(server, 1, real=real)
    kernel = start(name)
    status = server.settled(kernel)
    assert (status["generation"], status["restart_count"], status["reason"]) == (1, 1, "")
    assert story(changes(server, kernel), "status")[-2:] == ["autorestarting", "connected"]
    last = last_words(server, kernel)
    assert (last["cause"], last["generation"]) == ("AddressInUse", 0)
    port = json.loads((server.runtime / f"kernel-{kernel}.json").read_text())["shell_port"]
    assert "Address already in use" in last["traceback"]
    assert f":{port}'" not in last["traceback"]
    command = "1 + 1" if real else "nothing"
    assert (run(server, kernel, command)["status"], len(server.starts(name))) == ("ok", 2)


def test_address_in_use_again(server: Server, start: Starter) -> None:
    """A kernel whose second ports are taken as well is dead and says so."""
    name = squatted(server, 9)
    kernel = start(name, wait=False)
    status = server.until_dead(kernel)
    assert (status["cause"], status["generation"], status["restart_count"]) == (
        "AddressInUse",
        1,
        1,
    )
    assert "in use" in status["reason"]
    assert held_for(lambda: len(server.starts(name)) == 2, 1)
    assert [each["cause"] for each in server.history(kernel)["terminations"]] == [
        "AddressInUse",
        "AddressInUse",
    ]


@pytest.mark.parametrize("text", IN_USE.values(), ids=IN_USE)
def test_address_in_use_in_other_words(server: Server, fake: Starter, text: str) -> None:
    """Every language's words for an address in use bring a second start, and no third."""
    name = server.status(kernel := fake("die-at-start,good", stderr=text))["name"]
    assert last_words(server, kernel)["cause"] == "AddressInUse"
    assert len(server.starts(name)) == 2


def test_other_failure_after_address_in_use(server: Server, start: Starter) -> None:
    """A second start that fails for another reason is told by that one, and is the last."""
    count = server.folder / "starts-of-two-failures"
    text = f"""echo >> {count}
        if [ "$(wc -l < {count})" = 1 ]; then echo '{IN_USE["pyzmq"]}' >&2; exit 1; fi
        exec {sys.executable} -m no_such_module_xyz"""
    kernel = start(shell(server, text), wait=False)
    status = server.until_dead(kernel)
    assert (status["cause"], status["generation"]) == ("ModuleNotFound", 1)
    assert "no_such_module_xyz" in status["reason"]


# -- what is kept of stderr, and where it goes besides


def test_stderr_still_reaches_the_log(server: Server, fake: Starter) -> None:
    """What a living kernel writes is in the server's log, once, at once, as it was written."""
    coloured = "\x1b[31mnews of a living kernel\x1b[0m"
    kernel = fake("good", stderr=coloured)
    eventually(lambda: coloured in server.log(), what="the log has it")
    assert (server.log().count(coloured), server.status(kernel)["last_termination"]) == (1, None)


def test_each_process_has_its_own_words(server: Server, start: Starter) -> None:
    """What one process wrote is not laid into the mouth of the next."""
    gate = server.gate()
    name = shell(server, f"echo $$ is here >&2; {exec_fake(server, gate=gate, mode='good')}")
    kernel = start(name)
    for _ in range(2):
        before = server.settled(kernel)
        kill(server, kernel)
        come_back(server, kernel, before["revision"])
        assert last_words(server, kernel)["traceback"].strip() == f"{before['pid']} is here"


def test_only_the_end_is_kept(server: Server, start: Starter) -> None:
    """The last 16 KiB are kept, whole to the last character."""
    code = "import sys; [print(f'line {n} of many', file=sys.stderr) for n in range(9000)]; exit(3)"
    kernel = start(python(server, "-c", code), wait=False)
    failed_start(server, kernel)
    kept = last_words(server, kernel)["traceback"]
    assert kept.rstrip().endswith("line 8998 of many\nline 8999 of many")
    assert TRACEBACK_LIMIT - 100 <= len(kept) <= TRACEBACK_LIMIT
    assert "line 0 of many" in server.log()


def test_end_is_kept_in_bytes(server: Server, start: Starter) -> None:
    """The limit counts bytes, and a character that it cuts does no harm."""
    code = "import sys; sys.stderr.buffer.write('€'.encode() * 9000); exit(3)"
    kernel = start(python(server, "-c", code), wait=False)
    failed_start(server, kernel)
    kept = last_words(server, kernel)["traceback"].lstrip("\N{REPLACEMENT CHARACTER}")
    assert set(kept) == {"€"}
    assert TRACEBACK_LIMIT - 100 <= len(kept.encode()) <= TRACEBACK_LIMIT


def test_stderr_tail(short: Server) -> None:
    """With `stderr_tail` 200 so much is kept, and a cause still found in it."""
    text = "a short line\n" * 100 + TEXTS["module"].text
    kernel = short.start_kernel(short.fake(mode="die-at-start", stderr=text))
    assert failed_start(short, kernel)["cause"] == "ModuleNotFound"
    kept = last_words(short, kernel)["traceback"]
    assert 180 <= len(kept) <= 200
    assert "pandas_xyz" in kept


def test_fifty_megabytes(short: Server) -> None:
    """A kernel that writes 50 MB and ends is told by its last line; all of it reaches the log."""
    log = short.folder / "log"
    text = f"yes '{LINE}' | head -c 50000000 >&2; echo >&2; echo the very end >&2; exit 3"
    kernel = short.start_kernel(shell(short, text))
    status = short.until_dead(kernel)
    assert (status["cause"], "the very end" in status["reason"]) == ("StartFailed", True)
    kept = last_words(short, kernel)["traceback"]
    assert (len(kept) <= 200, kept.rstrip().endswith("the very end")) == (True, True)
    eventually(lambda: log.stat().st_size >= 50_000_000, what="the log has all of it")
    os.truncate(log, 0)


def test_words_right_before_the_end(server: Server, fake: Starter) -> None:
    """What a connected kernel writes in its last moment is there to the last character."""
    gate = server.gate()
    words = "\n".join(f"word {n} before the end" for n in range(2000))
    kernel = fake("die-on-gate,good", gate=gate, **{"last-words": words})
    before = server.status(kernel)["revision"]
    gate.open()
    come_back(server, kernel, before)
    kept = last_words(server, kernel)["traceback"].rstrip()
    assert kept.endswith("word 1998 before the end\nword 1999 before the end")
    assert kept in words


def test_colours_are_taken_off(server: Server, start: Starter) -> None:
    """Colours, titles and links of terminals are not in what is kept."""
    text = (
        r"\033[1;31mred\033[0m \033[38;5;196mdeep\033[m \033]0;title\007\033[2Kplain"
        r" \033]8;;http://x.invalid\033\\link\033]8;;\033\\"
    )
    kernel = start(shell(server, f"printf '{text}\\n' >&2; exit 3"), wait=False)
    status = failed_start(server, kernel)
    assert last_words(server, kernel)["traceback"].strip() == "red deep plain link"
    assert "\x1b" not in status["reason"]


def test_bytes_that_are_no_text(server: Server, start: Starter) -> None:
    """Bytes that are no UTF-8 do no harm: the text around them is kept, the log gets them as is."""
    text = r"printf 'begin \377\376\000\001\200 end\n' >&2; exit 3"
    kernel = start(shell(server, text), wait=False)
    failed_start(server, kernel)
    kept = last_words(server, kernel)["traceback"].strip()
    assert (kept.startswith("begin "), kept.endswith(" end")) == (True, True)
    log = server.folder / "log"
    eventually(lambda: b"begin \xff\xfe\x00\x01\x80 end\n" in log.read_bytes(), what="in the log")


def test_nothing_on_stderr(server: Server, start: Starter) -> None:
    """A kernel that ends without a word has its exit code for a reason, and no traceback."""
    reasons = []
    for code in (41, 42):
        kernel = start(shell(server, f"exit {code}"), wait=False)
        status = failed_start(server, kernel)
        assert (status["cause"], last_words(server, kernel)["exit_code"]) == ("StartFailed", code)
        assert not last_words(server, kernel)["traceback"]
        reasons.append(status["reason"].replace(str(code), "CODE"))
    assert reasons[0] == reasons[1]
    assert "CODE" in reasons[0]


def test_kernel_that_closes_stderr(server: Server, start: Starter) -> None:
    """A kernel that closes stderr is as alive as before, and its words are there when it dies."""
    gate = server.gate()
    rest = exec_fake(server, mode="die-on-gate,good", gate=gate, code=7)
    kernel = start(shell(server, f"echo early words >&2; exec 2>&-; {rest}"))
    before = server.settled(kernel)
    used = sum(server.ps.cpu_times()[:2])
    assert held_for(lambda: psutil.pid_exists(before["pid"]), 1)
    assert sum(server.ps.cpu_times()[:2]) - used < 0.5, "the server is busy with a closed pipe"
    assert server.status(kernel) == before
    gate.open()
    come_back(server, kernel, before["revision"])
    last = last_words(server, kernel)
    assert (last["exit_code"], last["traceback"].strip()) == (7, "early words")


def test_stderr_that_outlives_its_kernel(server: Server, start: Starter) -> None:
    """A process that keeps the stderr of a dead kernel delays nothing, and may write on."""
    gate = server.gate()
    late = (
        f"while [ ! -e {gate} ]; do sleep 0.02; done; echo late words >&2 && touch {gate.reached}"
    )
    text = f"""setsid sh -c '{late}' & echo dying words >&2; exit 4"""
    kernel = start(shell(server, text), wait=False)
    status = server.until_dead(kernel)
    assert "dying words" in status["reason"]
    assert last_words(server, kernel)["traceback"].strip() == "dying words"
    gate.open()
    eventually(gate.reached.exists, what="the one who stayed could write")
    eventually(lambda: "late words" in server.log(), what="and his words are in the log")
    assert server.status(kernel) == status


def test_kernel_that_leaves_a_child_in_its_place(server: Server, start: Starter) -> None:
    """A kernel that forks and ends is dead, though its child would answer."""
    copy = server.runtime / "kernel-copy.json"
    child = exec_fake(server).replace("exec ", "exec setsid ").replace('"$1"', str(copy))
    text = f"""cp "$1" {copy}; echo forking >&2; ({child}) & exit 0"""
    kernel = start(shell(server, text), wait=False)
    status = server.until_dead(kernel)
    assert (status["cause"], status["last_termination"]["exit_code"]) == ("StartFailed", 0)
    with server.client("copy") as client:
        client.wait_for_ready(timeout=PATIENCE)
    assert held_for(lambda: server.status(kernel)["status"] == "dead", 1)
    assert last_words(server, kernel)["traceback"].strip() == "forking"
    copy.unlink()


def test_warning_of_a_healthy_kernel_is_no_reason(server: Server, start: Starter) -> None:
    """An ipykernel's warning that it talks over TCP is not what it died of."""
    kernel = start("python3")
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        execute(client, "import os; os._exit(3)")
        come_back(server, kernel, before)
    last = last_words(server, kernel)
    assert (last["cause"], "3" in last["reason"]) == ("Error", True)
    assert not [word for word in ("encryption", "TCP", "IPKernelApp") if word in last["reason"]]


# -- who gets to see it


def test_traceback_only_in_the_single_model(server: Server) -> None:
    """A dead kernel's own model has the end of its stderr; no list has, of kernels or sessions."""
    session = server.session("told.ipynb", python(server, "-c", "import no_such_xyz"))
    kernel = session["kernel"]["id"]
    failed_start(server, kernel)
    model = server.model(kernel)
    assert set(model) == MODEL_KEYS | {"traceback"}
    assert "ModuleNotFoundError: No module named 'no_such_xyz'" in model["traceback"]
    assert model["traceback"] == last_words(server, kernel)["traceback"]
    lists = [server.models()[kernel]]
    lists += [each["kernel"] for each in server.get("api/sessions") if each["id"] == session["id"]]
    assert [set(each) for each in lists] == [MODEL_KEYS] * 2
    server.delete(kernel)


def test_traceback_only_of_a_dead_kernel(server: Server, fake: Starter) -> None:
    """Once a kernel is there again its model has no traceback; the termination keeps it."""
    words = "gone by now"
    kernel = fake("die-at-start,good", stderr=words, wait=False)
    before = failed_start(server, kernel)
    assert server.model(kernel)["traceback"].strip() == words
    server.restart(kernel)
    come_back(server, kernel, before["revision"])
    assert set(server.model(kernel)) == MODEL_KEYS
    assert last_words(server, kernel)["traceback"].strip() == words


def test_stderr_not_captured(plain: Server) -> None:
    """With `capture_stderr` off the kernel writes to the server's own stderr; nothing is kept."""
    kernel = plain.start_kernel(python(plain, "-c", "__import__('no_such_' + 'xyz')"))
    status = failed_start(plain, kernel)
    assert (status["cause"], "no_such_xyz" in status["reason"]) == ("StartFailed", False)
    last = last_words(plain, kernel)
    assert (last["traceback"], last["exit_code"]) == (None, 1)
    assert not plain.model(kernel).get("traceback")
    assert "No module named 'no_such_xyz'" in plain.log()


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_stderr_not_captured_is_the_servers_own(plain: Server) -> None:
    """Without capture fd 2 of a kernel is the very file that the server's is."""
    pid = plain.settled(plain.start_kernel(plain.fake()))["pid"]
    assert Path(f"/proc/{pid}/fd/2").samefile(f"/proc/{plain.process.pid}/fd/2")


@pytest.mark.parametrize(
    ("code", "cause", "secret"),
    [
        ("__import__('no_such_' + 'xyz')", "ModuleNotFound", "no_such_xyz"),
        ("exec('from json import no_such' + '_xyz')", "ImportError", "no_such_xyz"),
        ("raise ValueError('no such ' + 'profile')", "StartFailed", "no such profile"),
    ],
)
def test_hidden_tracebacks(hiding: Server, code: str, cause: str, secret: str) -> None:
    """Without `allow_tracebacks` the replacement stands everywhere, no reason quotes; log does."""
    session = hiding.session("secret.ipynb", python(hiding, "-c", code))
    kernel = session["kernel"]["id"]
    status = hiding.until_dead(kernel)
    assert status["cause"] == cause
    assert hiding.model(kernel)["traceback"] == HIDDEN
    assert status["last_termination"]["traceback"] == HIDDEN
    assert [each["traceback"] for each in hiding.history(kernel)["terminations"]] == [HIDDEN]
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    told = [hiding.http.get(f"api/kernels/{kernel}/channels", headers=upgrade), hiding.wait(kernel)]
    assert [answer.status_code for answer in told] == [503, 409]
    paths = [f"api/kernels/{kernel}{sub}" for sub in ("", "/status", "/history")]
    paths += ["api/kernels", "api/sessions", f"api/sessions/{session['id']}"]
    told += [hiding.http.get(path) for path in paths]
    assert [secret in answer.text for answer in told] == [False] * len(told)
    assert secret in hiding.log()
    hiding.delete(kernel)


def test_hidden_tracebacks_of_a_connected_kernel(hiding: Server) -> None:
    """The same holds for a kernel that was connected and came back."""
    gate = hiding.gate()
    options = {"gate": gate, "code": 3, "last-words": "the secret of the house"}
    kernel = hiding.connected(hiding.fake(mode="die-on-gate,good", **options))
    before = hiding.status(kernel)["revision"]
    gate.open()
    come_back(hiding, kernel, before)
    last = last_words(hiding, kernel)
    assert (last["cause"], last["traceback"]) == ("Error", HIDDEN)
    assert "secret" not in json.dumps([hiding.history(kernel), hiding.status(kernel)])
    hiding.delete(kernel)


def test_hidden_address_in_use(hiding: Server) -> None:
    """What stderr says is still acted upon where it is not shown: new ports, and it comes."""
    kernel = hiding.connected(squatted(hiding, 1))
    assert last_words(hiding, kernel)["cause"] == "AddressInUse"
    assert hiding.status(kernel)["restart_count"] == 1
    hiding.delete(kernel)
