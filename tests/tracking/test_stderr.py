"""What real processes write to stderr: nothing lost, the end kept, nobody waited for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest

from kernel_status_ext.tracking.stderr import LAST_LOOK, Drain, Pipe

KEEP = 16384
WAIT = 60
"""Seconds that a failing test waits; a passing one does not."""

posix = pytest.mark.skipif(sys.platform == "win32", reason="shells and descriptors of POSIX")
pytestmark = posix


class Watched(Pipe):
    """A pipe whose end can be waited for."""

    def __init__(self, drain: Drain, keep: int) -> None:
        super().__init__(drain, keep)
        self.ended = threading.Event()

    def close(self) -> None:
        """Tell that the drain is done with it."""
        super().close()
        self.ended.set()


class Host:
    """Launches processes as the server does."""

    def __init__(self, keep: int = KEEP) -> None:
        self.keep, self.drain = keep, Drain(keep)
        self.processes: list[subprocess.Popen[bytes]] = []

    def open(self) -> Watched:
        """A pipe that nobody writes to yet."""
        return Watched(self.drain, self.keep)

    def launch(self, *argv: str, pipe: Watched | None = None) -> tuple[Watched, subprocess.Popen]:
        """A process that writes to a pipe of its own, and reads what it is told."""
        pipe = pipe or self.open()
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=pipe.writing
        )
        self.processes.append(process)
        pipe.handed_over()
        return pipe, process

    def shell(self, text: str) -> tuple[Watched, subprocess.Popen]:
        """The same, of a shell."""
        return self.launch("sh", "-c", text)

    def python(self, text: str) -> tuple[Watched, subprocess.Popen]:
        """The same, of Python."""
        return self.launch(sys.executable, "-S", "-c", text)


@pytest.fixture
def hosts() -> Iterator[Callable[[int], Host]]:
    """Make hosts that keep so many bytes; what they launched ends with the test."""
    made: list[Host] = []

    def make(keep: int = KEEP) -> Host:
        made.append(Host(keep))
        return made[-1]

    yield make
    for host in made:
        for process in host.processes:
            with process:
                process.kill()


@pytest.fixture
def host(hosts: Callable[[int], Host]) -> Host:
    """A host that keeps as much as the default."""
    return hosts(KEEP)


def end(process: subprocess.Popen[bytes]) -> None:
    """Tell a process that reads to its end that this is it, and wait."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


# -- what is kept ----------------------------------------------------------------------------


def test_the_last_words_are_there_when_the_process_has_ended(host: Host) -> None:
    """Whether or not the thread was there first, and however often they are asked for."""
    for number in range(30):
        pipe, process = host.shell(f"echo first >&2; echo last words {number} >&2; exit 3")
        assert process.wait() == 3
        assert pipe.last_words() == f"first\nlast words {number}"
        assert pipe.last_words() == f"first\nlast words {number}"
        assert pipe.ended.wait(WAIT)
        assert pipe.last_words() == f"first\nlast words {number}"


def test_only_the_end_is_kept(hosts: Callable[[int], Host]) -> None:
    """In order, without a gap, and no more of it than was asked for."""
    pipe, process = hosts(1000).python(
        "import sys\nfor number in range(100_000): print(number, file=sys.stderr)"
    )
    process.wait()
    words = pipe.last_words()
    assert len(words) <= 1000
    kept = words.split("\n")
    assert kept[-1] == "99999"
    assert kept[1:] == [str(number) for number in range(100_000 - len(kept) + 1, 100_000)]


@pytest.mark.parametrize(("keep", "words"), [(0, ""), (1, ""), (5, "last"), (10, "one\nlast")])
def test_as_much_is_kept_as_was_asked_for(
    hosts: Callable[[int], Host], keep: int, words: str
) -> None:
    """Nothing at all is possible, too; the final newline counts."""
    pipe, process = hosts(keep).shell("echo one >&2; echo last >&2")
    process.wait()
    assert pipe.last_words() == words
    assert pipe.ended.wait(WAIT)


def test_a_long_line_is_kept_in_part(hosts: Callable[[int], Host]) -> None:
    """What is kept may begin within a character."""
    pipe, process = hosts(101).python(
        "import sys; sys.stderr.reconfigure(encoding='utf-8'); sys.stderr.write('ö' * 100_000)"
    )
    process.wait()
    assert pipe.last_words() == 50 * "ö"


def test_binary_is_kept_as_text(host: Host) -> None:
    """Of some kind."""
    pipe, process = host.python(
        "import sys; sys.stderr.buffer.write(bytes(range(256)) * 1000 + b'\\nlast \\xff words\\n')"
    )
    process.wait()
    assert pipe.last_words().endswith("\nlast \ufffd words")


def test_a_process_that_says_nothing_leaves_nothing(host: Host) -> None:
    """And its pipe ends all the same."""
    pipe, process = host.shell("exit 0")
    process.wait()
    assert pipe.last_words() == ""
    assert pipe.ended.wait(WAIT)


def test_a_process_that_cannot_be_launched_leaves_nothing(host: Host) -> None:
    """The pipe is handed over to nobody."""
    pipe = host.open()
    with pytest.raises(FileNotFoundError):
        host.launch("/no/such/program", pipe=pipe)
    pipe.handed_over()
    assert pipe.last_words() == ""
    assert pipe.ended.wait(WAIT)


def test_what_a_living_process_has_said_can_be_read(host: Host) -> None:
    """More may follow."""
    pipe, process = host.shell("echo one >&2; echo ready; read line; echo two >&2")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert pipe.last_words() == "one"
    end(process)
    assert pipe.last_words() == "one\ntwo"


# -- whose end the pipe's end is -------------------------------------------------------------


def test_a_process_may_close_its_stderr_and_live_on(host: Host) -> None:
    """The end of the pipe is not the end of the process."""
    pipe, process = host.shell("echo one >&2; exec 2>&-; read line; exit 5")
    assert pipe.ended.wait(WAIT)
    assert process.poll() is None
    assert pipe.last_words() == "one"
    end(process)
    assert process.returncode == 5
    assert pipe.last_words() == "one"


def test_a_grandchild_may_hold_it_longer(host: Host) -> None:
    """Nobody waits for that one at the process's death; what it says later is forwarded."""
    pipe, process = host.shell(
        "exec 3<&0; echo one >&2; (read line <&3; echo two >&2) & echo ready; exit 3"
    )
    assert process.wait() == 3
    assert pipe.last_words() == "one"
    assert not pipe.ended.is_set()
    end(process)
    assert pipe.ended.wait(WAIT)
    assert pipe.last_words() == "one\ntwo"


def test_a_pipe_ends_though_others_were_launched_meanwhile(host: Host) -> None:
    """No process holds the pipe of another."""
    first, second = host.open(), host.open()
    _, living = host.launch("sh", "-c", "read line", pipe=second)
    _, process = host.launch("sh", "-c", "echo one >&2", pipe=first)
    process.wait()
    assert first.ended.wait(WAIT)
    assert not second.ended.is_set()
    end(living)
    assert second.ended.wait(WAIT)


def test_many_pipes_are_not_mixed_up(host: Host) -> None:
    """Each keeps its own, and one thread reads them all."""
    before = threading.active_count()
    pipes = [host.open() for _ in range(200)]
    for number, pipe in enumerate(pipes):
        os.write(pipe.writing, f"line one of {number}\n".encode())
    for pipe in pipes[1:]:
        pipe.handed_over()
    pipes[0].handed_over()
    assert [pipe.last_words() for pipe in pipes] == [f"line one of {each}" for each in range(200)]
    assert all(pipe.ended.wait(WAIT) for pipe in pipes)
    assert threading.active_count() <= before + 1


def test_all_descriptors_are_given_back(host: Host) -> None:
    """Of processes, of their grandchildren, and of what could not be launched."""
    pipe, process = host.shell("exit 0")
    process.wait()
    assert pipe.ended.wait(WAIT)
    before = psutil.Process().num_fds()
    pipes = [host.open() for _ in range(20)]
    for pipe in pipes[:10]:
        with subprocess.Popen(["sh", "-c", "echo one >&2"], stderr=pipe.writing):
            pipe.handed_over()
        pipe.last_words()
    for pipe in pipes[10:]:
        pipe.handed_over()
    assert all(pipe.ended.wait(WAIT) for pipe in pipes)
    assert psutil.Process().num_fds() <= before


def test_without_descriptors_there_is_no_pipe(host: Host) -> None:
    """Whoever launches is told, and can do without."""
    import resource  # noqa: PLC0415 - not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = psutil.Process().num_fds()
    free = os.dup(2)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            host.drain.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert psutil.Process().num_fds() <= before


# -- the server's own stderr -----------------------------------------------------------------

PROLOGUE = """
import os, subprocess, sys
from kernel_status_ext.tracking import stderr

def launch(drain, *argv):
    pipe = drain.open()
    process = subprocess.Popen(argv, stderr=pipe.writing)
    pipe.handed_over()
    return pipe, process

"""


def server(text: str, **streams: object) -> subprocess.Popen[bytes]:
    """A program that drains pipes to a stderr that is not ours."""
    defaults = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", PROLOGUE + text], **(defaults | streams))


SIZE = 20 << 20
FORWARDS = f"""
drain = stderr.Drain(16384)
text = "import random, sys; sys.stderr.buffer.write(random.Random(7).randbytes({SIZE}))"
pipe, process = launch(drain, sys.executable, "-S", "-c", text)
process.wait()
words = pipe.last_words()
sys.stdin.read()
"""


def test_everything_is_forwarded_byte_by_byte() -> None:
    """20 MB, nothing lost, nothing twice, nothing in another order."""
    with server(FORWARDS) as program:
        assert program.stderr is not None
        came = program.stderr.read(SIZE)
        assert program.stdin is not None
        program.stdin.close()
        assert program.stderr.read() == b""
    assert program.returncode == 0
    assert came == random.Random(7).randbytes(SIZE)


SLOWLY = "os.set_blocking(2, False)\n" + FORWARDS


def test_a_slow_reader_gets_everything_though_writing_does_not_block() -> None:
    """What a stderr takes in part is written in parts."""
    with server(SLOWLY) as program:
        assert program.stderr is not None
        came = b"".join(program.stderr.read(1000) for _ in range(SIZE // 1000))
        came += program.stderr.read(SIZE % 1000)
        assert program.stdin is not None
        program.stdin.close()
        assert program.stderr.read() == b""
    assert came == random.Random(7).randbytes(SIZE)


READ_BY_THE_LOOP = """
drain = stderr.Drain(16384)
pipe = drain.open()
os.write(pipe.writing, b"one\\n")
assert pipe.last_words() == "one"
sys.stdin.read()
"""


def test_what_the_loop_reads_is_forwarded_too() -> None:
    """At once, though nothing more comes and the pipe is held open."""
    with server(READ_BY_THE_LOOP) as program:
        assert program.stderr is not None
        assert program.stderr.readline() == b"one\n"
        assert program.stdin is not None
        program.stdin.close()
        assert program.stderr.read() == b""


SPEAKS = """
text = "import sys; sys.stderr.write('x' * {size} + chr(10) + 'last words'); sys.exit(3)"
drain = stderr.Drain(16384)
pipe, process = launch(drain, sys.executable, "-S", "-c", text)
assert process.wait() == 3
print(pipe.last_words().splitlines()[-1], flush=True)
"""


def test_a_server_without_a_reader_hears_the_last_words() -> None:
    """Whoever read its log has gone; that is no fault of the kernel's."""
    reading, writing = os.pipe()
    os.close(reading)
    with server(SPEAKS.format(size=1 << 20), stderr=writing) as program:
        os.close(writing)
        assert program.communicate()[0] == b"last words\n"
    assert program.returncode == 0


def test_a_server_that_closed_its_stderr_hears_the_last_words() -> None:
    """There is nobody to be told."""
    with server("os.close(2)\n" + SPEAKS.format(size=1 << 20)) as program:
        assert program.communicate()[0] == b"last words\n"
    assert program.returncode == 0


def test_a_server_that_never_had_a_stderr_hears_the_last_words() -> None:
    """Its descriptor is something else's then."""
    argv = [sys.executable, "-c", PROLOGUE + SPEAKS.format(size=1 << 20)]
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *argv]
    assert subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout == b"last words\n"


def test_a_full_stderr_of_the_server_stops_no_kernel() -> None:
    """What cannot be written is given up after a while, where writing does not block."""
    text = "os.set_blocking(2, False)\nstderr.PATIENCE = 0\n" + SPEAKS.format(size=2 << 20)
    reading, writing = os.pipe()
    try:
        with server(text, stderr=writing) as program:
            os.close(writing)
            assert program.communicate()[0] == b"last words\n"
        assert program.returncode == 0
    finally:
        os.close(reading)


def test_the_last_words_are_heard_while_the_server_cannot_write() -> None:
    """The thread may stand still for ever; the loop does not wait for it."""
    size = 100_000  # more than the server's pipe holds, less than both
    reading, writing = os.pipe()
    try:
        with server(SPEAKS.format(size=size), stderr=writing) as program:
            os.close(writing)
            assert program.communicate()[0] == b"last words\n"
        assert program.returncode == 0
    finally:
        os.close(reading)


FLOODED = """
drain = stderr.Drain(16384)
pipe = drain.open()
process = subprocess.Popen(
    ["sh", "-c", "yes flood >&2 & echo $!; exit 3"], stdout=subprocess.PIPE, stderr=pipe.writing
)
pipe.handed_over()
flood = int(process.stdout.readline())
assert process.wait() == 3
while not (words := pipe.last_words()):
    os.sched_yield()
os.kill(flood, 9)
print(set(words.split()[1:-1]), len(words) <= 16384, flush=True)
"""


def test_a_grandchild_that_floods_is_not_listened_to_for_ever() -> None:
    """What it says is the end of what was said, but nobody waits for its end."""
    with server(FLOODED, stderr=subprocess.DEVNULL) as program:
        out, _ = program.communicate()
    assert out == b"{'flood'} True\n"


class Endless(Watched):
    """A pipe that always has more to say."""

    chunks = 0
    is_over = False

    def read(self) -> int | None:
        """Read and count."""
        self.chunks += 1
        return super().read() or int(not self.is_over)


def test_the_last_look_is_bounded(host: Host) -> None:
    """However much comes."""
    pipe = Endless(host.drain, KEEP)
    assert pipe.last_words() == ""
    assert pipe.chunks == LAST_LOOK
    # Or the drain's thread would read it as long as the tests run.
    pipe.is_over = True
    os.close(pipe.writing)


LIVES_ON = """
drain = stderr.Drain(16384)
pipe, process = launch(drain, "sh", "-c", "read line; echo bye >&2")
print("leaving", flush=True)
"""


def test_a_server_that_ends_waits_for_no_kernel() -> None:
    """The thread ends with it."""
    reading, writing = os.pipe()
    try:
        with server(LIVES_ON, stdin=reading) as program:
            os.close(reading)
            assert program.stdout is not None
            assert program.stdout.readline() == b"leaving\n"
            assert program.wait() == 0
            os.close(writing)
    finally:
        with suppress(OSError):
            os.close(writing)
