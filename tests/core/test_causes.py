"""Words for ends and for starts that fail: cause, sentence, next step."""

from __future__ import annotations

import doctest
import errno
import re
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_status_ext.core import causes
from kernel_status_ext.core.causes import (
    REQUESTED,
    Account,
    crash_loop,
    explain_end,
    explain_launch,
    overdue,
    sentence,
    signal_name,
    signal_of,
    silent,
    size,
)
from kernel_status_ext.core.last_words import of_a_start
from kernel_status_ext.core.model import Exit
from kernel_status_ext.core.remains import NOTHING_FOUND, OutOfMemory, Remains
from kernel_status_ext.core.words import Cause, RequestedBy

NAMED = {
    "SIGKILL": Cause.KILLED,
    "SIGSEGV": Cause.SEGMENTATION_FAULT,
    "SIGABRT": Cause.ABORTED,
    "SIGBUS": Cause.BUS_ERROR,
    "SIGILL": Cause.ILLEGAL_INSTRUCTION,
    "SIGFPE": Cause.FLOATING_POINT_EXCEPTION,
    "SIGTERM": Cause.TERMINATED,
    "SIGINT": Cause.INTERRUPTED,
    "SIGXCPU": Cause.CPU_LIMIT_EXCEEDED,
}
"""The contract's causes "by signal"; any other signal is Signaled."""

NEVER_LAUNCHED = {
    Cause.KERNELSPEC_NOT_FOUND,
    Cause.EXECUTABLE_NOT_FOUND,
    Cause.PERMISSION_DENIED,
    Cause.LAUNCH_FAILED,
    Cause.PROVISIONER_FAILED,
    Cause.INVALID_KERNELSPEC,
}

HERE = [name for name in NAMED if hasattr(signal, name)]
"""Not every platform has every signal."""


def test_the_examples_in_the_docstrings_hold() -> None:
    """What the docstrings show is what the functions do."""
    outcome = doctest.testmod(causes)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "never answered"])
@pytest.mark.parametrize("name", HERE)
def test_every_signal_of_the_contract_has_its_cause(name: str, answered: bool) -> None:
    """A signal is named by its cause and in the sentence, with a hint of its own."""
    number = int(getattr(signal, name))
    account = explain_end(Exit(None, number), 3.25, answered=answered)
    assert account.cause is NAMED[name]
    assert name in account.happened
    assert account.hint


@pytest.mark.parametrize("name", HERE)
def test_a_shells_128_and_more_is_that_signal(name: str) -> None:
    """The cause is the signal's, and the sentence keeps the exit code."""
    number = int(getattr(signal, name))
    account = explain_end(Exit(128 + number), 3.25, answered=True)
    assert account.cause is NAMED[name]
    assert name in account.happened
    assert str(128 + number) in account.happened


def test_signals_have_reasons_of_their_own() -> None:
    """No two signals that the contract names are told alike, nor with the same code."""
    numbers = [int(getattr(signal, name)) for name in HERE]
    told = {explain_end(Exit(None, number), None, answered=True) for number in numbers}
    assert len({account.happened for account in told}) == len(HERE)
    assert len({account.cause for account in told}) == len(HERE)


def test_another_signal_is_signaled() -> None:
    """Signals that the contract does not name have one cause and still say their name."""
    account = explain_end(Exit(None, int(signal.SIGHUP)), 1, answered=True)
    assert account.cause is Cause.SIGNALED
    assert "SIGHUP" in account.happened


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    """Real-time signals have no names."""
    assert signal_name(40) == "signal 40"
    account = explain_end(Exit(None, 40), 1, answered=True)
    assert account.cause is Cause.SIGNALED
    assert "signal 40" in account.happened


@pytest.mark.parametrize(
    ("ended", "number"),
    [
        (Exit(None, 9), 9),
        (Exit(137), 9),
        (Exit(143), 15),
        (Exit(None, 40), 40),
        (Exit(0), None),
        (Exit(1), None),
        (Exit(127), None),
        (Exit(128), None),
        (Exit(255), None),
        (Exit(3221225477), None),
        (Exit(), None),
    ],
)
def test_which_exits_are_signals(ended: Exit, number: int | None) -> None:
    """A code is a signal only where 128 and a signal that exists make it up."""
    assert signal_of(ended) == number


@pytest.mark.parametrize(
    ("ended", "answered", "cause"),
    [
        (Exit(0), True, Cause.EXITED),
        (Exit(1), True, Cause.ERROR),
        (Exit(255), True, Cause.ERROR),
        (Exit(), True, Cause.LOST),
        (Exit(0), False, Cause.START_FAILED),
        (Exit(1), False, Cause.START_FAILED),
        (Exit(), False, Cause.START_FAILED),
    ],
)
def test_an_exit_by_itself_has_its_cause(ended: Exit, answered: bool, cause: Cause) -> None:
    """0 is an exit, more an error, and what never answered failed to start."""
    account = explain_end(ended, 2, answered=answered)
    assert account.cause is cause
    assert account.hint


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "never answered"])
def test_a_provisioners_zero_is_no_exit(answered: bool) -> None:
    """Many say 0 of all that is gone: nothing of a code, of a cell or of a log is told."""
    account = explain_end(Exit(hearsay=True), 2, answered=answered)
    assert account.cause is Cause.LOST
    told = sentence(account.happened, account.hint)
    assert "its provisioner does not say why" in told
    assert ("before it was ready" in told) is not answered
    assert not re.search(r"\bcode\b|exit\(\)|stderr|\blog\b|terminal", told)


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "never answered"])
@pytest.mark.parametrize(
    ("ended", "cause", "word"),
    [
        (Exit(3, hearsay=True), None, "exited with code 3"),
        (Exit(137, hearsay=True), Cause.KILLED, "killed by SIGKILL (exit code 137)"),
        (Exit(None, 11, hearsay=True), Cause.SEGMENTATION_FAULT, "killed by SIGSEGV"),
        (Exit(None, 40, hearsay=True), Cause.SIGNALED, "killed by signal 40"),
    ],
    ids=str,
)
def test_what_a_provisioner_says_is_told_as_its_word(
    ended: Exit, cause: Cause | None, word: str, answered: bool
) -> None:
    """It was not seen here, and neither its stderr nor a log of this machine knows of it."""
    account = explain_end(ended, 2, answered=answered)
    assert account.cause is (cause or (Cause.ERROR if answered else Cause.START_FAILED))
    assert account.happened.startswith("The kernel's provisioner says that it ")
    told = sentence(account.happened, account.hint)
    assert word in told
    assert not re.search(r"stderr|\blog\b|terminal|last cell", told)


def test_two_codes_are_two_sentences() -> None:
    """The sentence says what was measured."""
    one, other = (explain_end(Exit(code), 2, answered=True).happened for code in (3, 4))
    assert one != other
    assert "code 3" in one


def test_the_age_is_told_where_it_is_known() -> None:
    """How long a process lived stands in the sentence, to a tenth of a second."""
    assert "12.3 s after its start" in explain_end(Exit(1), 12.34, answered=True).happened
    assert "after its start" not in explain_end(Exit(1), None, answered=True).happened


def test_what_happened_can_be_followed_by_a_next_step() -> None:
    """An account has no full stop, a sentence has exactly one at its end."""
    account = explain_end(Exit(1), 1, answered=True)
    told = sentence(account.happened, account.hint, "", "restart it")
    assert told == f"{account.happened}; {account.hint}; restart it."
    assert not account.happened.endswith(".")


def test_who_can_ask_for_an_end() -> None:
    """Each requester of the contract has a cause and a sentence, no two the same."""
    assert set(REQUESTED) == set(RequestedBy)
    assert {cause for cause, _ in REQUESTED.values()} == {
        Cause.SHUTDOWN,
        Cause.RESTARTED,
        Cause.CULLED,
        Cause.SERVER_STOPPED,
    }
    assert len({told for _, told in REQUESTED.values()}) == len(RequestedBy)


def test_overdue_and_silent_say_what_was_measured() -> None:
    """Both name the seconds and a next step."""
    assert "60 s" in overdue(60.0)
    assert "2.5 s" in overdue(2.5)
    assert "15 s" in silent(15.0)
    assert "restart it" in overdue(60)
    assert "restart it" in silent(15)


def test_only_a_process_that_is_seen_to_be_stopped_is_to_be_continued() -> None:
    """One that is not stopped, or may be gone, is not helped by `kill -CONT`."""
    assert "kill -CONT" in silent(15, stopped=True)
    assert "kill -CONT" not in silent(15, stopped=False)
    assert "exists" in silent(15, stopped=False)
    assert "kill -CONT" not in silent(15)
    assert "exists" not in silent(15)
    assert "gone" in silent(15)


def test_a_crash_loop_counts_and_quotes() -> None:
    """Giving up names how often it was tried, the last death and what to do."""
    told = crash_loop(5, "The kernel was killed by SIGSEGV")
    assert told.startswith("The kernel was killed by SIGSEGV")
    assert "5 automatic restarts" in told
    assert told.endswith("restart it to go on.")
    assert "without an automatic restart" in crash_loop(0, "x")


@pytest.mark.parametrize("cause", sorted(NEVER_LAUNCHED))
def test_a_launch_that_failed_names_its_kernelspec(cause: Cause) -> None:
    """Every cause of "never launched" has a sentence with the kernelspec and a next step."""
    told = explain_launch(cause, "mykernel", "no /opt/x")
    assert "'mykernel'" in told
    assert "; " in told
    assert told.endswith(".")
    assert "/opt/x" in told or cause is Cause.KERNELSPEC_NOT_FOUND
    assert told != explain_launch(cause, "other", "no /opt/x")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENOEXEC, errno.ENOENT])
def test_what_the_system_refused_has_a_next_step_of_its_own(number: int) -> None:
    """A full disk is not helped by a log, nor a program of another machine by more files."""
    told = explain_launch(Cause.LAUNCH_FAILED, "mykernel", "detail", number)
    assert "server's log" not in told
    assert told != explain_launch(Cause.LAUNCH_FAILED, "mykernel", "detail", errno.EAGAIN)
    missing = explain_launch(Cause.EXECUTABLE_NOT_FOUND, "mykernel", "detail", number)
    assert missing == explain_launch(Cause.EXECUTABLE_NOT_FOUND, "mykernel", "detail")


@pytest.mark.parametrize("name", HERE)
def test_no_cell_is_blamed_where_none_was_run(name: str) -> None:
    """A process that never answered has run no cell."""
    account = explain_end(Exit(None, int(getattr(signal, name))), 1, answered=False)
    assert not re.search(r"\bcell\b", account.hint)


@pytest.mark.parametrize("ended", [Exit(0), Exit(3), *(Exit(None, n) for n in (6, 8, 11))], ids=str)
def test_no_cell_is_blamed_where_nothing_was_running(ended: Exit) -> None:
    """A thread, a startup file or another client has ended it."""
    account = explain_end(ended, 1, answered=True, at_work=False, remains=Remains(captured=True))
    assert not re.search(r"\bcell\b|ran last", account.hint)
    assert "nothing ran in it that we know of" in account.hint
    at_work = explain_end(ended, 1, answered=True, remains=Remains(captured=True))
    assert re.search(r"\bcell\b|ran last", at_work.hint)
    assert "terminal" not in at_work.hint


def test_launch_failures_are_told_apart() -> None:
    """No two causes of "never launched" have the same sentence."""
    told = {explain_launch(cause, "mykernel", "detail") for cause in NEVER_LAUNCHED}
    assert len(told) == len(NEVER_LAUNCHED)


# -- what was found of the process -----------------------------------------------------------

GIB = 1 << 30


def explained(ended: Exit, remains: Remains = NOTHING_FOUND, *, answered: bool = True) -> Account:
    """The account of an end, of a process that lived for 3 s."""
    return explain_end(ended, 3.0, answered=answered, remains=remains)


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "never answered"])
@pytest.mark.parametrize("ended", [Exit(None, 9), Exit(137)], ids=str)
def test_a_kill_that_its_memory_group_counted_is_out_of_memory(ended: Exit, answered: bool) -> None:
    """SIGKILL and a count that explains it: both, and nothing less, make this cause."""
    without = explained(ended, answered=answered)
    account = explained(ended, Remains(memory=OutOfMemory()), answered=answered)
    assert (without.cause, account.cause) == (Cause.KILLED, Cause.OOM_KILLED)
    assert account.happened.startswith(without.happened)
    assert "out-of-memory kill" in account.happened
    assert "out-of-memory" not in without.happened
    assert "sender is not known" not in account.hint


OTHER_ENDS = [
    *(Exit(None, number) for number in sorted({int(each) for each in signal.Signals} - {9})),
    Exit(None, 40),
    *(Exit(code) for code in (0, 1, 9, 127, 128, 136, 138, 139, 255)),
    Exit(),
]


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "never answered"])
@pytest.mark.parametrize("ended", OTHER_ENDS, ids=str)
def test_no_other_end_is_out_of_memory(ended: Exit, answered: bool) -> None:
    """What a memory group counted says nothing of a process that ended in another way."""
    killed = Remains(memory=OutOfMemory(GIB), peak_memory=GIB)
    assert explained(ended, killed, answered=answered) == explained(ended, answered=answered)


def test_the_limit_is_told_where_there_is_one() -> None:
    """The next step is to ask for more than so much."""
    hint = explained(Exit(None, 9), Remains(memory=OutOfMemory(2 * GIB))).hint
    assert "more than the 2.0 GiB it has" in hint
    hint = explained(Exit(None, 9), Remains(memory=OutOfMemory(None))).hint
    assert "more memory" in hint
    assert "more than" not in hint


@pytest.mark.parametrize("memory", [None, OutOfMemory(GIB)], ids=["killed", "out of memory"])
def test_what_a_killed_process_held_is_told(memory: OutOfMemory | None) -> None:
    """Also where nobody knows who killed it: it may be a hint to the reader."""
    told = explained(Exit(None, 9), Remains(memory=memory, peak_memory=8482560000))
    assert told.happened.endswith("; it held 7.9 GiB")
    for unknown in (None, 0):
        told = explained(Exit(None, 9), Remains(memory=memory, peak_memory=unknown))
        assert "held" not in told.happened


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0 bytes"),
        (512, "512 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (16 << 20, "16.0 MiB"),
        (8482560000, "7.9 GiB"),
        (3 << 40, "3.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_a_size_is_written_for_people(count: int, written: str) -> None:
    """In units of 1024, with one decimal, and never in units that nobody knows."""
    assert size(count) == written


def test_the_unit_grows_before_the_number_is_too_long() -> None:
    """No size is called 1024.0 of something that has a bigger unit."""
    assert size((1 << 20) - 1) == "1.0 MiB"
    assert size((1 << 30) - 1) == "1.0 GiB"


STACK = (
    "Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n"
    '  File "/usr/lib/python3.12/ctypes/__init__.py", line 519 in string_at\n'
    '  File "/tmp/ipykernel_4711/123.py", line 3 in <module>\n'
)


@pytest.mark.parametrize("ended", [Exit(None, 11), Exit(139), Exit(None, 6)], ids=str)
def test_the_stack_of_a_crash_is_quoted(ended: Exit) -> None:
    """It tells the line of the cell and what it called."""
    told, without = explained(ended, Remains(stderr=STACK, captured=True)), explained(ended)
    assert told.happened.startswith(without.happened)
    assert "line 3 of the cell" in told.happened
    assert "string_at" in told.happened
    assert (told.cause, told.hint) == (without.cause, without.hint)


def test_the_stack_of_a_crash_is_not_quoted_elsewhere() -> None:
    """Not where tracebacks are not allowed, nor of what did not crash."""
    hidden = Remains(stderr=STACK, captured=True, instead="no")
    assert explained(Exit(None, 11), hidden) == explained(Exit(None, 11))
    killed = Remains(stderr=STACK, captured=True)
    assert explained(Exit(None, 9), killed) == explained(Exit(None, 9))


LINE = "OMP: Error #15: Initializing libomp.so, but found libiomp5.so already initialized."


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "never answered"])
@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP"])
def test_why_native_code_gave_up_is_in_the_sentence(name: str, answered: bool) -> None:
    """The line says it, its hint says what to do; without one, nothing is said of stderr."""
    ended = Exit(None, int(getattr(signal, name)))
    for stderr in ("", "a line of a log"):
        without = explained(ended, Remains(stderr=stderr, captured=True), answered=answered)
        assert "stderr" not in without.happened + without.hint
        assert "a line" not in without.happened
    told = explained(ended, Remains(stderr=LINE, captured=True), answered=answered)
    assert told.happened == f'{without.happened}; it said "{LINE}"'
    assert "OpenMP" in told.hint


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT", "SIGXCPU", "SIGHUP"])
def test_an_end_that_others_made_is_not_explained_by_its_words(name: str) -> None:
    """What a process wrote says nothing of a signal that somebody sent."""
    ended = Exit(None, int(getattr(signal, name)))
    assert explained(ended, Remains(stderr=LINE, captured=True)) == explained(ended)


def test_where_the_last_words_are_is_told() -> None:
    """A process that said nothing leaves another next step than one whose words are elsewhere."""
    silent_one = explained(Exit(1), Remains(captured=True)).hint
    elsewhere = explained(Exit(1)).hint
    assert "wrote nothing to stderr" in silent_one
    assert "the server's log" in elsewhere


def test_stderr_is_shown_where_it_was_kept_and_may_be() -> None:
    """Nothing, the text, or what stands instead of it."""
    assert Remains(stderr="boom").shown is None
    assert Remains(stderr="boom", captured=True).shown == "boom"
    assert Remains(captured=True).shown == ""
    assert Remains(stderr="boom", captured=True, instead="hidden").shown == "hidden"
    assert Remains(stderr="boom", captured=True, instead="").shown == ""
    assert Remains(stderr="boom", instead="hidden").shown is None


def test_what_is_shown_of_remains_is_not_their_stderr() -> None:
    """They are parts of events, which are logged."""
    assert "boom" not in repr(Remains(stderr="boom", captured=True))


# -- where tracebacks are not allowed --------------------------------------------------------

SAMPLES = [
    "ModuleNotFoundError: No module named 'SECRET'",
    "/opt/SECRET/bin/python: No module named SECRET",
    (
        "/opt/py/bin/python: Error while finding module specification for 'SECRET.launch' "
        "(ModuleNotFoundError: No module named 'SECRET')"
    ),
    "ModuleNotFoundError: No module named 'zmq.SECRET'; 'zmq' is not a package",
    "ImportError: cannot import name 'SECRET' from 'SECRET' (/SECRET/x.py)",
    "ImportError: cannot import name 'Random' from 'random' (/home/SECRET/random.py)",
    (
        "AttributeError: module 'random' has no attribute 'SECRET' (consider renaming "
        "'/home/SECRET/random.py' since it has the same name as the standard library module)"
    ),
    "AttributeError: module 'zmq' has no attribute 'SECRET'",
    "ImportError: libSECRET.so.5: cannot open shared object file: No such file or directory",
    "SECRET: error while loading shared libraries: libSECRET.so: cannot open shared object file",
    "ImportError: SECRET",
    "zmq.error.ZMQError: Address already in use (addr='ipc://SECRET')",
    "OSError: SECRET: [Errno 98] Address already in use",
    "ValueError: SECRET",
    "SECRETError: SECRET",
    "SECRET",
    "Error: Cannot find module 'SECRET'",
    "Fatal Python error: SECRET",
    "OMP: Error #15: SECRET",
    "terminate called after throwing an instance of 'SECRET'",
    (
        "Traceback (most recent call last):\n"
        '  File "/a.py", line 1, in <module>\n    import random\n'
        '  File "/SECRET/random.py", line 1, in <module>\nSECRETError: SECRET'
    ),
    STACK.replace("ctypes", "SECRET").replace("string_at", "SECRET"),
]
"""Last words of all kinds; SECRET is what nobody may read."""

ENDS = [Exit(1), Exit(127), Exit(0), Exit(), Exit(137), Exit(139), Exit(None, 9), Exit(None, 11)]


def hidden_account(text: str, secret: str, ended: Exit, *, answered: bool) -> Account:
    """What is told where tracebacks are not allowed, of a process that has secrets everywhere."""
    remains = Remains(
        stderr=text.replace("SECRET", secret),
        instead="hidden",
        captured=True,
        command=f"/opt/{secret}/bin/python",
        hiding=f"/home/{secret}/zmq.py",
    )
    return explained(ended, remains, answered=answered)


def words_of(account: Account) -> set[str]:
    """The longer words of an account."""
    return set(re.findall(r"\w{5,}", f"{account.happened} {account.hint}"))


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(
    texts=st.lists(st.sampled_from(SAMPLES), min_size=1, max_size=4),
    secret=st.from_regex(r"[a-z]{3}q[a-z]{6}", fullmatch=True),
    ended=st.sampled_from(ENDS),
    answered=st.booleans(),
)
def test_where_tracebacks_are_not_allowed_nothing_depends_on_a_secret(
    texts: list[str], secret: str, ended: Exit, answered: bool
) -> None:
    """Another module, path, address or exception gives the same account, to the letter."""
    text = "\n".join(texts)
    told = hidden_account(text, secret, ended, answered=answered)
    assert told == hidden_account(text, "otherwise", ended, answered=answered)
    assert secret not in told.happened + told.hint


def plain_words() -> set[str]:
    """The longer words that are told where tracebacks are not allowed, of all kinds of ends."""
    known: set[str] = set()
    for text in ("", *SAMPLES):
        words = of_a_start(text)
        known |= set(re.findall(r"\w{5,}", words.plain + " " + words.plain_hint if words else ""))
    for ended in ENDS:
        for answered in (True, False):
            for stderr in ("", "x", "ModuleNotFoundError: No module named 'a'"):
                remains = Remains(stderr=stderr, instead="", captured=True)
                known |= words_of(explained(ended, remains, answered=answered))
    return known


PLAIN_WORDS = plain_words()


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(
    text=st.lists(st.one_of(st.sampled_from(SAMPLES), st.text(max_size=30))).map("\n".join),
    ended=st.sampled_from(ENDS),
    answered=st.booleans(),
)
def test_where_tracebacks_are_not_allowed_only_words_of_ours_are_told(
    text: str, ended: Exit, answered: bool
) -> None:
    """No word of stderr gets into an account that is not in it anyway."""
    told = hidden_account(text, "zzqzzzzzz", ended, answered=answered)
    assert words_of(told) <= PLAIN_WORDS


@pytest.mark.parametrize("text", SAMPLES)
def test_the_cause_is_told_where_tracebacks_are_not_allowed_too(text: str) -> None:
    """Only the words are hidden, not what is known."""
    shown = Remains(stderr=text, captured=True)
    hidden = Remains(stderr=text, captured=True, instead="hidden")
    one, other = (explained(Exit(1), each, answered=False) for each in (shown, hidden))
    assert one.cause is other.cause
