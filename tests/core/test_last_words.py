"""What stderr says of an end: texts of real programs, of other machines, and of nobody at all.

The texts in the folder beside this file were left by programs that really failed (folders were
renamed since); those that stand here are as their users have reported them.
"""

from __future__ import annotations

import doctest
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernel_status_ext.core import crashes, shadows
from kernel_status_ext.core.last_words import (
    LONGEST,
    QUOTED,
    LastWords,
    of_a_crash,
    of_a_life,
    of_a_start,
    suspect,
)
from kernel_status_ext.core.remains import clean
from kernel_status_ext.core.words import Cause

PAGES = Path(__file__).parent / "last_words"
PYTHON = "/opt/env/bin/python"

MODULE, IMPORT, SHADOW = Cause.MODULE_NOT_FOUND, Cause.IMPORT_ERROR, Cause.SHADOWED_MODULE
IN_USE = Cause.ADDRESS_IN_USE


def read_texts() -> dict[str, str]:
    """Read all pages: each text by the name of its page and its own."""
    texts = {}
    for page in sorted(PAGES.glob("*.txt")):
        for part in page.read_text("utf-8").split("#### ")[1:]:
            name, _, text = part.partition("\n")
            texts[f"{page.stem}: {name}"] = text
    return texts


TEXTS = read_texts()


def named(text: str) -> str:
    """The name of a text, without its page."""
    return text.partition(": ")[2]


@dataclass(frozen=True)
class Words:
    """What is to be told of a text, which may be by many versions of a program."""

    cause: Cause | None
    says: tuple[str, ...] = ()
    not_says: tuple[str, ...] = ()


def said(*says: str, cause: Cause | None = None, not_says: tuple[str, ...] = ()) -> Words:
    """What is to be told, by default without a cause of its own."""
    return Words(cause, says, not_says)


def judge(words: LastWords | None, expected: Words) -> None:
    """Compare what was told with what was to be told."""
    assert words is not None
    assert words.cause is expected.cause, words
    told = words.quote + words.hint
    assert [each for each in expected.says if each not in told] == [], words
    assert [each for each in expected.not_says if each in told] == [], words


# -- starts of real programs -----------------------------------------------------------------

FAST, PANDAS = "no_such_fast", "no_such_pandas"

STARTS: dict[str, Words] = {
    "no module": said(PYTHON, "no_such_kernel", "pip install", cause=MODULE),
    "no package": said(PYTHON, "no_such_kernel", cause=MODULE),
    "no module in a package": said(PYTHON, "json.launch", cause=MODULE),
    "no module in the middle": said(PYTHON, "no_such_pandas", cause=MODULE),
    "no name": said("no_such_name", "json", cause=IMPORT, not_says=("hides",)),
    "old library": said("collections", "Mapping", not_says=("hides", "rename")),
    "no library": said("libR.so", cause=IMPORT),
    "no library by hand": said("no_such_libzmq.so.5", cause=IMPORT),
    "no symbol": said("no_such_bar", cause=IMPORT),
    "coped with": said("/srv/key", not_says=(FAST, "install")),
    "handled": said("invalid literal for int()", not_says=(FAST, "install")),
    "interrupted": said("KeyboardInterrupt"),
    "group": said("boom"),
    "no home": said("Fatal Python error", not_says=("pip install",)),
    "ignored at the end": said("no license is left", not_says=("do not fit together",)),
    "after its end": said("invalid literal for int()", not_says=("no_such_zmq",)),
    "syntax": said("SyntaxError: invalid syntax"),
    "words": said("no profile is named night"),
    "in use, zmq": said("tcp://127.0.0.1:", cause=IN_USE),
    "in use, asyncio": said("in use already", cause=IN_USE),
    "in use, ipykernel": said("tcp://127.0.0.1:", cause=IN_USE),
    "in use, tried again": said("invalid literal for int()", not_says=("in use",)),
    "no library, coped with": said("invalid literal for int()", not_says=("libcudart",)),
    # A module of a package is no top-level one, whatever it is called.
    "own module that needs a module": said(PANDAS, cause=MODULE, not_says=("hides", "rename")),
    "own module without a name": said("Bell", cause=IMPORT, not_says=("hides", "rename")),
    "own module that fails": said("the queue has no name", not_says=("hides", "rename")),
    "own class that fails": said("the night has no types", not_says=("hides", "rename")),
    "own class that is missing": said("Bad config", "nightkernel5"),
    # -- programs that are not Python's
    "ldso": said("libR.so", cause=IMPORT),
    "node-nomod": said("no-such-zeromq", not_says=("Node.js",)),
    "node-esm": said("no-such-zeromq", not_says=("Node.js",)),
    "node-nofile": said("/home/me/nothere.js", not_says=("Node.js",)),
    "node-inuse": said("in use already", cause=IN_USE),
    "node-throw": said("ports must be numbers", not_says=("Node.js",)),
    "java-nomain": said("org.jupyter.NoSuchKernel"),
    "java-nojar": said("/nowhere/ijava.jar"),
    "java-inuse": said("in use already", cause=IN_USE),
    "java-throw": said("no ports"),
    "java-opt": said("Error: "),
    "sh-notfound": said("no-such-Rscript"),
    "bash-notfound": said("no-such-Rscript"),
    "perl-nomod": said("compilation aborted"),
    "env-notfound": said("no-such-R"),
}
"""By the names of the texts; those of files that hide modules stand below."""

SHADOWS = {
    "random on the path": "random",
    "types on the path": "types",
    "logging on the path": "logging",
    "zmq on the path": "zmq",
    "tornado on the path": "tornado",
    "string on the path": "string",
    "threading on the path": "threading",
    "random that needs a module": "random",
    "types that fails": "types",
    "random beside the program": "random",
    "random that is the program": "random",
    "logging in the folder": "logging",
    "inspect in the folder": "inspect",
}
"""Texts of programs that met a file of their user's, which is called like a module."""

CRASHES = {
    "crash in a library": ("line 3 of the cell", "string_at", "ctypes"),
    "crash in the cell": ("line 2 of the cell", "<module>"),
    "crash beside threads": ("line 3 of the cell", "string_at", "ctypes"),
}
HEALTHY = "healthy"
IGNORED = "ignored"


def texts(*names: str) -> list[str]:
    """The texts of these names, on whatever page."""
    return [text for text in TEXTS if named(text) in names]


def test_every_text_is_expected_and_every_expectation_has_a_text() -> None:
    """What is not compared with anything is no test."""
    assert {named(text) for text in TEXTS} == {*STARTS, *SHADOWS, *CRASHES, HEALTHY, IGNORED}


@pytest.mark.parametrize("name", texts(*STARTS))
def test_a_real_program_that_does_not_start(name: str) -> None:
    """The cause is named where it is known, and nothing else is."""
    text = TEXTS[name]
    command = PYTHON if name.startswith("python") else "/usr/bin/kernel"
    hiding = None  # as nobody finds such a file
    judge(of_a_start(clean(text.encode()), command, hiding), STARTS[named(name)])


@pytest.mark.parametrize("name", texts(*SHADOWS))
def test_a_real_program_that_a_users_file_stands_in_the_way_of(name: str) -> None:
    """Stderr names the file, or at least its module, and then somebody can look for the file."""
    text, module = TEXTS[name], SHADOWS[named(name)]
    path = f"/home/me/{module}/{module}.py"
    suspected = suspect(text)
    assert suspected in (None, module)
    told = of_a_start(text, PYTHON, path if suspected else None)
    judge(told, Words(SHADOW, (path, f"{module!r}", f"rename {path}")))


@pytest.mark.parametrize("name", texts(IGNORED))
def test_what_python_itself_ignores_is_no_cause(name: str) -> None:
    """Objects that die with their interpreter often fail to, and did not end it."""
    told = of_a_start(TEXTS[name], PYTHON)
    assert told is None or (told.cause, told.plain) == (None, "")


@pytest.mark.parametrize("name", texts(*SHADOWS))
def test_a_file_that_nobody_found_is_not_made_up(name: str) -> None:
    """Where neither stderr nor anybody names a file, no path is told."""
    text, module = TEXTS[name], SHADOWS[named(name)]
    told = of_a_start(text, PYTHON)
    assert told is not None
    assert told.cause in (SHADOW, IMPORT, None)
    assert module in told.quote or told.cause is IMPORT
    assert f"/{module}.py" not in told.quote or f"/{module}.py" in text


@pytest.mark.parametrize("name", texts(*SHADOWS, *STARTS))
def test_windows_lines_and_trailing_lines_change_nothing(name: str) -> None:
    """What is told does not depend on how lines end."""
    text = TEXTS[name]
    windows = (text + "\n\n").replace("\n", "\r\n").encode()
    assert of_a_start(clean(windows), PYTHON) == of_a_start(clean(text.encode()), PYTHON)


@pytest.mark.parametrize("name", texts(HEALTHY))
def test_what_a_healthy_kernel_writes_is_no_reason(name: str) -> None:
    """Its warning says nothing of an end, alone or behind something that does."""
    text = TEXTS[name]
    assert of_a_start(text, PYTHON) is None
    assert of_a_life(text) is None
    assert suspect(text) is None
    judge(of_a_start(f"no profile 'night'\n{text}"), said("no profile 'night'"))


# -- starts on other machines ----------------------------------------------------------------

TRACEBACK = "Traceback (most recent call last):\n"
HERE = "/home/me/random.py"


def traceback(*files: str, error: str) -> str:
    """A traceback through the top of these files."""
    frames = [f'  File "{file}", line 3, in <module>\n    import something\n' for file in files]
    return f"{TRACEBACK}{''.join(frames)}{error}\n"


OPEN, CLOSE = "\N{LEFT SINGLE QUOTATION MARK}", "\N{RIGHT SINGLE QUOTATION MARK}"
"""R quotes like that."""

NO_MAPPING = "ImportError: cannot import name 'Mapping' from 'collections' ({})"
COLLECTIONS = "collections/__init__.py"

ELSEWHERE: dict[str, tuple[str, Words]] = {
    "3.13, library": (
        traceback(
            "/srv/kernel.py",
            error="AttributeError: module 'zmq' has no attribute 'Context' (consider renaming "
            "'/home/me/zmq.py' if it has the same name as a third-party module you intended to "
            "import)",
        ),
        said("/home/me/zmq.py", cause=SHADOW),
    ),
    "3.14, name": (
        traceback(
            "/srv/kernel.py",
            error="ImportError: cannot import name 'Random' from 'random' (consider renaming "
            "'/home/me/random.py' since it has the same name as the standard library module named "
            "'random' and prevents importing that standard library module)",
        ),
        said(HERE, cause=SHADOW),
    ),
    "3.14, library": (
        traceback(
            "/srv/kernel.py",
            error="AttributeError: module 'zmq' has no attribute 'Context' (consider renaming "
            "'/home/me/zmq.py' if it has the same name as a library you intended to import)",
        ),
        said("/home/me/zmq.py", cause=SHADOW),
    ),
    "a folder in the place of a library": (
        traceback(
            "/srv/kernel.py",
            error="ImportError: cannot import name 'Context' from 'zmq' (/home/me/zmq/__init__.py)",
        ),
        said("/home/me/zmq/__init__.py", "'zmq'", cause=SHADOW),
    ),
    "Windows, a user's file": (
        traceback(
            r"C:\Program Files\Python312\Lib\tempfile.py",
            error=r"ImportError: cannot import name 'Random' from 'random' (C:\Users\me\random.py)",
        ),
        said(r"C:\Users\me\random.py", "'random'", cause=SHADOW),
    ),
    "Windows, a user's file that fails": (
        TRACEBACK
        + '  File "<frozen runpy>", line 88, in _run_code\n'
        + '  File "C:\\Python312\\Lib\\tempfile.py", line 45, in <module>\n'
        + "    from random import Random as _Random\n"
        + '  File "C:\\Users\\me\\random.py", line 1, in <module>\n'
        + "    boom()\n"
        + "ValueError: work in progress\n",
        said("C:\\Users\\me\\random.py", "'random'", cause=SHADOW),
    ),
    "Windows": (
        r"C:\Python312\python.exe: No module named ipykernel_launcher",
        said(r"C:\Python312\python.exe", "ipykernel", cause=MODULE),
    ),
    "Windows, a folder with a space": (
        r"C:\Program Files\Python312\python.exe: No module named ipykernel_launcher",
        said(r"C:\Program Files\Python312\python.exe", "ipykernel", cause=MODULE),
    ),
    "a Mac, a folder with a space": (
        "/Users/me/My Envs/night/bin/python3: No module named ipykernel_launcher",
        said("/Users/me/My Envs/night/bin/python3", "ipykernel", cause=MODULE),
    ),
    "PyPy": (
        "/opt/pypy3.10/bin/pypy3: No module named ipykernel_launcher",
        said("/opt/pypy3.10/bin/pypy3", "ipykernel", cause=MODULE),
    ),
    "a Mac's library": (
        traceback(
            "/opt/env/lib/python3.12/site-packages/zmq/__init__.py",
            error="ImportError: dlopen(/opt/env/zmq/_zmq.so, 0x0002): Library not loaded: "
            "@rpath/libzmq.5.dylib\n  Referenced from: <5C3A> /opt/env/zmq/_zmq.so\n"
            "  Reason: tried: '/opt/env/libzmq.5.dylib' (no such file)",
        ),
        said("libzmq.5.dylib", cause=IMPORT),
    ),
    "Windows' library": (
        traceback(
            r"C:\Python312\Lib\site-packages\zmq\__init__.py",
            error="ImportError: DLL load failed while importing _zmq: The specified module could "
            "not be found.",
        ),
        said("DLL load failed", cause=IMPORT),
    ),
    "another architecture": (
        traceback(
            "/opt/kernel.py",
            error="ImportError: /opt/env/zmq/_zmq.so: wrong ELF class: ELFCLASS32",
        ),
        said("wrong ELF class", cause=IMPORT),
    ),
    "Windows, in use": (
        traceback(
            r"C:\kernel.py",
            error="OSError: [WinError 10048] Only one usage of each socket address "
            "(protocol/network address/port) is normally permitted",
        ),
        said("WinError 10048"),
    ),
    "an old library of the Python itself": (
        traceback("/opt/kernel.py", error=NO_MAPPING.format(f"/usr/lib/python3.10/{COLLECTIONS}")),
        said("Mapping", cause=IMPORT, not_says=("rename",)),
    ),
    "a stdlib in lib64": (
        traceback(
            "/opt/kernel.py", error=NO_MAPPING.format(f"/usr/lib64/python3.12/{COLLECTIONS}")
        ),
        said("Mapping", cause=IMPORT, not_says=("rename",)),
    ),
    "a stdlib in lib64 that fails": (
        traceback(
            "/usr/bin/kernel",
            "/usr/lib64/python3.12/socket.py",
            error="ValueError: the port must be a number",
        ),
        said("the port must be a number", not_says=("rename",)),
    ),
    "a module that is missing beside lib64": (
        traceback(
            "/usr/bin/kernel",
            "/usr/lib64/python3.12/sqlite3/__init__.py",
            "/usr/lib64/python3.12/socket.py",
            error="ModuleNotFoundError: No module named '_socket'",
        ),
        said("_socket", cause=MODULE, not_says=("rename",)),
    ),
    "Windows, an older stdlib": (
        traceback(
            r"C:\kernel.py",
            error=NO_MAPPING.format(r"C:\Python39\lib\collections\__init__.py"),
        ),
        said("Mapping", cause=IMPORT, not_says=("rename",)),
    ),
    "Windows, conda": (
        traceback(
            r"C:\kernel.py",
            error=NO_MAPPING.format(r"C:\Users\me\miniconda3\Lib\collections\__init__.py"),
        ),
        said("Mapping", cause=IMPORT, not_says=("rename",)),
    ),
    "PyPy's stdlib": (
        traceback(
            "/opt/kernel.py",
            error=NO_MAPPING.format("/opt/pypy3.10/lib/pypy3.10/collections/__init__.py"),
        ),
        said("Mapping", cause=IMPORT, not_says=("rename",)),
    ),
    "a stdlib in a zip file": (
        traceback(
            "/opt/kernel.py", error=NO_MAPPING.format("/opt/app/python312.zip/" + COLLECTIONS)
        ),
        said("Mapping", cause=IMPORT, not_says=("rename",)),
    ),
    "a file of the user's with a name of its own": (
        traceback("/opt/kernel.py", "/home/me/house.py", error="ValueError: too small"),
        said("too small", not_says=("rename",)),
    ),
    "a hidden module that it could do without": (
        (
            "no fast path: cannot import name 'fast' from 'random' (consider renaming "
            "'/home/me/random.py' since it has the same name as the standard library module)\n"
            "ValueError: no profile is named night\n"
        ),
        said("no profile is named night", not_says=("rename",)),
    ),
    "a hidden module whose trouble was told and over": (
        traceback(
            "/opt/kernel.py",
            error="ImportError: cannot import name 'fast' from 'random' (consider renaming "
            "'/home/me/random.py' since it has the same name as the standard library module)\n",
        )
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + traceback("/opt/kernel.py", error="ValueError: no profile is named night"),
        said("no profile is named night", not_says=("rename",)),
    ),
    "a module that is only shown": (
        "using <module 'token' from '/home/me/token.py'>\nValueError: no profile is named night\n",
        said("no profile is named night", not_says=("rename",)),
    ),
    "a file that is not there": (
        traceback(
            "/opt/kernel.py",
            error="FileNotFoundError: [Errno 2] No such file or directory: '/home/me/code.py'",
        ),
        said("No such file", "/home/me/code.py", not_says=("rename",)),
    ),
    "a program that is called like a module": (
        traceback("/opt/night/socket.py", error="ValueError: too small"),
        said("too small", not_says=("rename",)),
    ),
    "a name of nowhere": (
        traceback(
            "/opt/kernel.py",
            error="ImportError: cannot import name 'Context' from 'night' (unknown location)",
        ),
        said("unknown location", cause=IMPORT),
    ),
    "R": (
        (
            f"Error in library(IRkernel) : there is no package called {OPEN}IRkernel{CLOSE}\n"
            "Execution halted\n"
        ),
        said("IRkernel"),
    ),
    "R, by its namespace": (
        (
            f"Error in loadNamespace(x) : there is no package called {OPEN}IRkernel{CLOSE}\n"
            "Calls: :: ... loadNamespace -> withRestarts -> withOneRestart -> doWithOneRestart\n"
            "Execution halted\n"
        ),
        said("IRkernel"),
    ),
    "Julia": (
        (
            "ERROR: ArgumentError: Package IJulia not found in current path.\n"
            '- Run `import Pkg; Pkg.add("IJulia")` to install the IJulia package.\n'
            "Stacktrace:\n"
            " [1] macro expansion\n"
            "   @ ./loading.jl:1772 [inlined]\n"
            " [2] require(into::Module, mod::Symbol)\n"
            "   @ Base ./loading.jl:1763\n"
            " [3] top-level scope\n"
            "   @ none:1\n"
        ),
        said("IJulia"),
    ),
    "Julia, its file": (
        (
            'ERROR: SystemError: opening file "/opt/IJulia/src/kernel.jl": '
            "No such file or directory\n"
            "Stacktrace:\n"
            " [1] systemerror(p::String, errno::Int32; extrainfo::Nothing)\n"
            "   @ Base ./error.jl:176\n"
            " [2] top-level scope\n"
            "   @ none:1\n"
        ),
        said("/opt/IJulia/src/kernel.jl"),
    ),
    "Go, in use": (
        (
            "panic: listen tcp 127.0.0.1:40101: bind: address already in use\n\n"
            "goroutine 1 [running]:\nmain.main()\n\t/src/kernel.go:8 +0x65\nexit status 2\n"
        ),
        said("in use already", cause=IN_USE),
    ),
    "Ruby": (
        (
            "<internal:/usr/lib/ruby/3.2.0/rubygems/core_ext/kernel_require.rb>:85:in `require': "
            "cannot load such file -- iruby (LoadError)\n"
        ),
        said("iruby"),
    ),
    "Ruby, with its stack": (
        (
            "<internal:/usr/lib/ruby/3.2.0/rubygems/core_ext/kernel_require.rb>:85:in `require': "
            "cannot load such file -- iruby (LoadError)\n"
            "\tfrom <internal:/usr/lib/ruby/3.2.0/rubygems/core_ext/kernel_require.rb>:85:in "
            "`require'\n"
            "\tfrom /usr/bin/iruby:3:in `<main>'\n"
        ),
        said("iruby (LoadError)"),
    ),
    "Rust": (
        (
            "thread 'main' panicked at src/main.rs:2:5:\n"
            "no profile is named night\n"
            "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"
        ),
        said("no profile is named night"),
    ),
    ".NET": (
        "You must install or update .NET to run this application.",
        said("You must install or update .NET"),
    ),
    "the loader of a Mac": (
        (
            "dyld[4711]: Library not loaded: @rpath/libR.dylib\n"
            "  Referenced from: <5C3A> /opt/xr/bin/xr\n"
            "  Reason: tried: '/opt/xr/lib/libR.dylib' (no such file)\n"
        ),
        said("libR.dylib"),
    ),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_program_of_another_machine(name: str) -> None:
    """Also what does not run here is read right."""
    text, expected = ELSEWHERE[name]
    judge(of_a_start(clean(text.encode())), expected)


def test_a_colourful_traceback_is_read_like_a_plain_one() -> None:
    """Python 3.13 and later colour it where they are told to."""
    raw = (
        b"Traceback (most recent call last):\n"
        b'  File \x1b[35m"<string>"\x1b[0m, line \x1b[35m1\x1b[0m, in \x1b[35m<module>\x1b[0m\n'
        b"    import no_such_pandas\n"
        b"\x1b[1;35mModuleNotFoundError\x1b[0m: \x1b[35mNo module named 'no_such_pandas'\x1b[0m\n"
    )
    assert clean(raw) == (
        "Traceback (most recent call last):\n"
        '  File "<string>", line 1, in <module>\n'
        "    import no_such_pandas\n"
        "ModuleNotFoundError: No module named 'no_such_pandas'"
    )
    judge(of_a_start(clean(raw), PYTHON), said("no_such_pandas", cause=MODULE))


def test_which_python_is_told_where_the_command_is_another() -> None:
    """A traceback of an installed module tells whose it was."""
    text = traceback(
        "/opt/env/lib/python3.12/site-packages/ipykernel_launcher.py",
        error="ModuleNotFoundError: No module named 'zmq'",
    )
    told = of_a_start(text, "/usr/local/bin/start-kernel.sh")
    judge(told, said("/opt/env/bin/python", "pip install pyzmq", cause=MODULE))
    told = of_a_start(text.replace("/lib/", "/lib64/"), "/usr/local/bin/start-kernel.sh")
    judge(told, said("/opt/env/bin/python", "pip install pyzmq", cause=MODULE))
    told = of_a_start("ModuleNotFoundError: No module named 'zmq'", "/usr/local/bin/start-kernel")
    judge(told, said("its Python has no module named 'zmq'", "pip install pyzmq", cause=MODULE))


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("ipykernel_launcher", "install ipykernel"),
        ("ipykernel.kernelapp", "install ipykernel"),
        ("zmq", "install pyzmq"),
        ("IPython", "install ipython"),
        ("pandas", "the package that has it"),
    ],
)
def test_what_to_install_is_told(module: str, package: str) -> None:
    """The name of a module is not always that of its package."""
    told = of_a_start(f"ModuleNotFoundError: No module named '{module}'", PYTHON)
    assert told is not None
    assert package in told.hint


def test_a_found_file_counts_only_for_its_own_module() -> None:
    """A file that hides another module than stderr speaks of is not blamed."""
    text = "AttributeError: module 'logging' has no attribute 'getLogger'"
    judge(of_a_start(text, PYTHON, HERE), said("getLogger", not_says=("rename",)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AttributeError: module 'pandas' has no attribute 'Panel'",
        "AttributeError: 'NoneType' object has no attribute 'fileno'",
        "AttributeError: module 'logging' has no attribute 'x'\nValueError: 3",
        "ModuleNotFoundError: No module named 'night.day'; 'night' is not a package",
        "logging",
    ],
)
def test_nothing_is_suspected_without_a_sign(text: str) -> None:
    """Only modules that kernels need are looked for, and only where they are the last trouble."""
    assert suspect(text) is None


def test_nothing_says_nothing() -> None:
    """Where there are no words, none are made."""
    for text in ("", "\n", " \n\t\n"):
        assert of_a_start(text) is None
        assert of_a_life(text) is None
        assert of_a_crash(text) is None


def test_a_long_line_is_quoted_in_part() -> None:
    """A reason is one sentence, whatever a program writes."""
    told = of_a_start("x" * 5000)
    assert told is not None
    assert f'"{"x" * QUOTED}…"' in told.quote
    told = of_a_start(f"ValueError: {'x' * 5000}")
    assert told is not None
    assert len(told.quote) < QUOTED + 20


def test_a_quote_is_one_line_that_can_be_printed() -> None:
    """What turns text around, or has no form at all, does not get into a sentence."""
    told = of_a_start(clean("ValueError: a\tb\xa0c\u2028d \u202eetal\u2066 \ufeff \ue000".encode()))
    assert told is not None
    assert told.quote.isprintable(), ascii(told.quote)


def test_the_examples_in_the_docstrings_hold() -> None:
    """What the docstrings show is what the functions do."""
    for module in (crashes, shadows):
        outcome = doctest.testmod(module)
        assert outcome.attempted > 0
        assert outcome.failed == 0


# -- ends of processes that had worked -------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (traceback("/opt/kernel.py", error="ValueError: 3"), "ValueError: 3"),
        ("zmq.error.ZMQError: Socket operation on non-socket\n\n", "zmq.error.ZMQError: Socket"),
        ("MemoryError", "MemoryError"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("Exception: the licence is over", "the licence is over"),
        (f"ValueError: {'x' * 5000}", "ValueError: xxx"),
        ("ModuleNotFoundError: No module named 'x'", "No module named 'x'"),
    ],
)
def test_the_last_exception_of_a_life_is_quoted(text: str, quoted: str) -> None:
    """It is told and never interpreted: a kernel that worked had all that it needs."""
    told = of_a_life(text)
    assert told is not None
    assert quoted in told.quote
    assert (told.cause, told.plain, told.plain_hint) == (None, "", "")


@pytest.mark.parametrize(
    "text",
    [
        traceback("/opt/kernel.py", error="ValueError: 3") + "done",
        "the ValueError: 3",
        "  ValueError: 3",
        "a line of a log",
        f"{'x' * 2 * LONGEST} ValueError: 3",
    ],
)
def test_other_last_lines_of_a_life_say_nothing(text: str) -> None:
    """What came before the last line is a cell's, and long over."""
    assert of_a_life(text) is None


# -- crashes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", texts(*CRASHES))
def test_a_real_crash(name: str) -> None:
    """The stack of the thread that crashed tells the line of the cell and the library."""
    told = of_a_crash(TEXTS[name])
    assert told is not None
    assert [each for each in CRASHES[named(name)] if each not in told.quote] == [], told
    assert (told.cause, told.plain) == (None, "")


STACK = "Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n"


def test_a_crash_without_a_cell_names_its_function() -> None:
    """A kernel may crash by itself, too."""
    told = of_a_crash(f'{STACK}  File "/opt/lib/zmq/poll.py", line 106 in poll\n')
    assert told == LastWords('it crashed in poll ("/opt/lib/zmq/poll.py", line 106)')


def test_the_last_crash_counts() -> None:
    """A child of the kernel's may have crashed before."""
    child = f'{STACK}  File "/opt/child.py", line 1 in f\n'
    told = of_a_crash(f'{child}\n{STACK}  File "/tmp/ipykernel_7/9.py", line 4 in g\n')
    assert told is not None
    assert "line 4 of the cell, in g" in told.quote
    assert "child" not in told.quote


@pytest.mark.parametrize(
    "text",
    [
        (
            "Fatal Python error: Segmentation fault\n\n"
            "Current thread 0x0 (most recent call first):\n"
            "  <no Python frame>\n"
        ),
        "Fatal Python error:",
        traceback("/opt/kernel.py", error="ValueError: 3"),
        "Segmentation fault (core dumped)",
        f'  File "/opt/child.py", line 1 in f\n{STACK}',
    ],
)
def test_what_is_no_stack_of_a_crash(text: str) -> None:
    """Nothing is told of a crash without a stack."""
    assert of_a_crash(text) is None


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (
            "error: Failed to spawn: `night`\n  cause: No such file or directory (os error 2)\n",
            "Failed to spawn: `night`",
        ),
        (
            "unknown option --night\nusage: python [option] ...\nTry `python -h' for more.\n",
            "unknown option --night",
        ),
        ("error: no Python\n\nhint: look elsewhere\n", "error: no Python"),
    ],
    ids=["uv run", "python", "a hint"],
)
def test_what_only_comes_with_the_line_that_says_why_is_not_quoted(text: str, quoted: str) -> None:
    """Real words of uv and of Python: a cause of the cause, a usage, a hint."""
    told = of_a_start(text)
    assert told is not None
    assert quoted in told.quote


NATIVE = {
    "OMP": "OMP: Error #15: Initializing libomp.so, but found libiomp5.so already initialized.",
    "OMP, another": "OMP: Error #179: Function Can't open SHM2 failed:",
    "glibc, free": "free(): invalid pointer",
    "glibc, malloc": "malloc(): corrupted top size",
    "glibc, double free": "double free or corruption (fasttop)",
    "glibc, list": "corrupted size vs. prev_size",
    "glibc, stack": "*** stack smashing detected ***: terminated",
    "glibc, old": "*** Error in `python3': free(): invalid next size (fast): 0x09 ***",
    "macOS": "python(4711,0x10d) malloc: *** error for object 0x1: pointer was not allocated",
    "C++": "terminate called without an active exception",
    "libc++": "libc++abi: terminating due to uncaught exception of type std::exception",
    "assert": "python: ../src/x.c:12: int f(int): Assertion `n > 0' failed.",
    "assert, quoted": "Assertion failed: Socket operation on non-socket (src/signaler.cpp:152)",
    "glog": "F0101 12:00:00.123456  4711 x.cc:12] Check failed: a == b",
    "TensorFlow": "2026-01-02 03:04:05.678901: F tensorflow/core/x.cc:12] Check failed: ok",
    "Rust, memory": "memory allocation of 8589934592 bytes failed",
    "Rust": "thread 'main' panicked at 'no', src/main.rs:3:5",
    "Go": "fatal error: all goroutines are asleep - deadlock!",
    "Go, panic": "panic: runtime error: index out of range [5] with length 3",
    "LLVM": "LLVM ERROR: Cannot select: intrinsic %llvm.x86.avx512",
    "MKL": "Intel MKL FATAL ERROR: Cannot load libmkl_avx2.so or libmkl_def.so.",
    "OpenBLAS": "OpenBLAS : Program is Terminated. Because you tried to allocate too many memory",
    "R": " *** caught segfault ***",
    "Julia": "[4711] signal 11 (1): Segmentation fault",
    "JVM": "# A fatal error has been detected by the Java Runtime Environment:",
    "Python": "Fatal Python error: _PyMem_DebugFree: bad trailing pad byte",
}
"""One line of each runtime that gives up."""


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize(
    "after", ["", "\n", "\nAborted (core dumped)\n", "\n  #0 0x7f in f\n" * 20]
)
def test_the_line_in_which_native_code_gives_up_is_quoted(name: str, after: str) -> None:
    """Of a crash, of an exit with a code, and of a start; whatever stack follows it."""
    text = f"a line of a log\n{NATIVE[name]}{after}"
    quoted = " ".join(NATIVE[name].split())
    for read in (of_a_crash, of_a_life, of_a_start):
        told = read(text)
        assert told is not None
        assert quoted in told.quote
        assert told.plain == ""


@pytest.mark.parametrize("name", NATIVE)
def test_what_a_process_lived_on_after_is_not_quoted(name: str) -> None:
    """An exception that came later, or a hundred lines, show that it was not the end."""
    for later in ("ValueError: 3\n", "a line of a log\n" * 100):
        text = f"{NATIVE[name]}\n{later}"
        assert of_a_crash(text) is None
        told = of_a_life(text)
        assert told is None or NATIVE[name].strip() not in told.quote


def test_both_lines_of_an_exception_that_nobody_caught_are_quoted() -> None:
    """C++ says in the second what it was; memory that ran out has a hint of its own."""
    text = (
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc"
    )
    told = of_a_crash(text)
    assert told is not None
    assert "what(): std::bad_alloc" in told.quote
    assert "memory" in told.hint
    other = of_a_crash("terminate called after throwing an instance of 'E'\n  what():  no queue")
    assert other is not None
    assert "'E' what(): no queue" in other.quote
    assert "memory" not in other.hint


def test_why_and_where_are_both_told() -> None:
    """A line of a runtime, and the stack that faulthandler left after it."""
    stack = STACK.replace("Segmentation fault", "Aborted")
    told = of_a_crash(f'free(): invalid pointer\n{stack}  File "/opt/zmq/x.py", line 7 in f\n')
    assert told is not None
    assert told.quote == (
        'it said "free(): invalid pointer"; it crashed in f ("/opt/zmq/x.py", line 7)'
    )


# -- making text of bytes --------------------------------------------------------------------

CLEANED = {
    "plain": (b"one\ntwo\n", "one\ntwo"),
    "nothing": (b"", ""),
    "Windows lines": (b"one\r\ntwo\r\n", "one\ntwo"),
    "colours": (b"\x1b[0;31mred\x1b[m \x1b[38;2;1;2;3mmore\x1b[0m", "red more"),
    "colours by colons": (b"\x1b[4:3mwave\x1b[0m", "wave"),
    "cursor": (b"\x1b[2K\x1b[1Gone\x1b[?25h", "one"),
    "character sets": (b"\x1b(Bone\x1b)0two\x1b=\x1b7", "onetwo"),
    "title": (b"\x1b]0;my title\x07one", "one"),
    "link": (b"\x1b]8;;https://example.org\x1b\\text\x1b]8;;\x1b\\ more", "text more"),
    "title that is not ended": (b"\x1b]0;my title\nValueError: 3\n", "ValueError: 3"),
    "device control": (b"one\x1bPq#0;2;0;0;0\x1b\\two", "onetwo"),
    "progress": (b"  0%|  |\r 50%|# |\r100%|##|\ndone\n", "100%|##|\ndone"),
    "progress that goes on": (b"one\n 10%\r 20%\r", "one\n 20%"),
    "progress, Windows": (b" 10%\r 20%\r\r\nend", " 20%\nend"),
    "NULs": (b"o\0n\0e\0", "one"),
    "bells and backspaces": (b"one\x07\x08\x7f", "one"),
    "tabs": (b"\tone\ttwo", "\tone\ttwo"),
    "other controls": ("one\x85\x9b two".encode(), "one two"),
    "lines before and after": (b"\n\n  one\n\n", "  one"),
    "umlauts": ("Größe ✓ \U0001f600".encode(), "Größe ✓ \U0001f600"),
    "another encoding": (b"Gr\xf6\xdfe", "Gr\ufffd\ufffde"),
    "cut within a character": ("ö".encode()[1:] + b"one", "one"),
    "cut within a long character": ("\U0001f600".encode()[1:] + b"one", "one"),
    "ends within a character": (b"one\xf0\x9f\x98", "one\ufffd"),
}


@pytest.mark.parametrize("name", CLEANED)
def test_text_is_made_of_bytes(name: str) -> None:
    """What a terminal would not show as text is left out, and nothing else."""
    raw, text = CLEANED[name]
    assert clean(raw) == text


def test_binary_becomes_text_of_some_kind() -> None:
    """Whatever a program writes can be shown."""
    text = clean(bytes(range(256)) * 64)
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text) is None


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from([b"\x1b", b"\x1b[", b"\x1b]", b"\r", b"\n", b"\x07", b"m", b"0;"]),
        ),
        max_size=40,
    ).map(b"".join)
)
@example(b"\x1b\x1b[m]0;")
def test_clean_text_has_no_controls_and_stays_clean(raw: bytes) -> None:
    """Nothing that steers a terminal survives, and no second cleaning finds more."""
    text = clean(raw)
    assert not set(text) & {chr(code) for code in (*range(9), *range(11, 32), 127)}
    assert clean(text.encode()) == text


# -- anything --------------------------------------------------------------------------------

PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *("Traceback (most recent call last):", '  File "', '", line 3, in ', "<module>", "\n"),
            *("ImportError: ", "ModuleNotFoundError: ", "No module named '", "AttributeError: "),
            *("module 'random'", " has no attribute '", "'; 'zmq' is not a package", "/home/me/"),
            *("random.py", ".zip/", "/lib/python3.12/", "Address already in use", "tcp://", "("),
            *(": cannot open shared object file", "Fatal Python error:", "python: ", "'", ")", " "),
        ]
    ),
)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from([None, "", HERE, "x"]))
def test_any_text_is_read_without_a_fault(text: str, hiding: str | None) -> None:
    """No text makes the reading fail, and what is told is never empty, never endless."""
    suspect(text)
    for words in (of_a_start(text, PYTHON, hiding), of_a_life(text), of_a_crash(text)):
        if words is not None:
            assert words.quote
            assert "\n" not in words.quote + words.hint


SIZE = 1 << 16
"""Four times what is kept by default."""


def filled(unit: str, before: str = "", after: str = "") -> str:
    """A text that repeats this until it is long."""
    return before + unit * (SIZE // len(unit)) + after


FRAME = '  File "/home/me/random.py", line 1, in <module>\n'
ERROR = "\nValueError: 3"

LONG = {
    "one line": filled("A"),
    "lines of one character": filled("A\n"),
    "empty lines": filled("\n"),
    "blanks": filled(" "),
    "blank lines": filled(" \n"),
    "long lines": filled("A" * 999 + "\n"),
    "dots": filled("A." * 499 + "\n"),
    "Error": filled("Error"),
    "almost errors": filled("Error" * 199 + "!\n"),
    "errors": filled("XError: a\n"),
    "names of files": filled("ImportError: " + "(a'" * 329 + "\n"),
    "ends of files": filled("AttributeError: (" + ".py" * 320 + "\n"),
    "frames": filled(FRAME, after=ERROR),
    "installed frames": filled(FRAME.replace("/home/me", "/usr/lib/python3.12"), after=ERROR),
    "half a frame": filled('  File "'),
    "half a frame a line": filled('  File "\n'),
    "a frame of many lines": filled("a\n", FRAME + '  File "', '", line 1, in <module>' + ERROR),
    "a frame of many ends": filled(".py\n", FRAME + '  File "', '", line 1, in <module>' + ERROR),
    "a frame of a long line": filled("a", FRAME + '  File "', '", line 1, in <module>' + ERROR),
    "blanks before a frame": filled(" " * 990 + "File\n", after=ERROR),
    "no module": filled("No module named "),
    "no module a line": filled("No module named \n"),
    "pythons": filled("python" * 160 + " No module named \n"),
    "pythons and colons": filled("python: " * 120 + " No module named \n"),
    "no modules": filled("ModuleNotFoundError: " * 45 + "No module named \n"),
    "no packages": filled("No module named 'a'; 'a' is not a package\n"),
    "quotes": filled("No module named '" * 50 + " is not a package\n"),
    "no attributes": filled("AttributeError: module 'collections' has no attribute 'x'\n"),
    "in use": filled("ddress already in use tcp"),
    "in use a line": filled("ddress already in use tcp\n"),
    "addresses": filled("ddress already in use" + "tcp://" * 150 + "\n"),
    "libraries": filled("a" * 950 + " cannot open shared object file\n"),
    "colons": filled(": cannot open shared object file"),
    "escapes": filled("\x1b["),
    "a long escape": filled("0", "\x1b["),
    "an escape of blanks": filled(" ", "\x1b"),
    "titles": filled("\x1b]"),
    "a long title": filled("a", "\x1b]", "\x1b"),
    "carriage returns": filled("\r"),
    "progress": filled("10%\r"),
    "form feeds": filled("\f"),
    "NULs": filled("\0"),
    "crashes": filled("Fatal Python error:"),
    "frames of a crash": filled('  File "/tmp/ipykernel_1/2.py", line 1 in f\n', STACK),
    "digits of a cell": filled(f'  File "/tmp/ipykernel_{"1" * 900}", line 1 in f\n', STACK),
    "a crash of many lines": filled("/ipykernel_1\n", STACK + '  File "', '", line 1 in f\n'),
    "noise": filled("0.1s - \n"),
    "line separators": filled("\u2028"),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", LONG)
def test_no_text_is_read_for_ever(name: str) -> None:
    """The server reads it in its loop: a few milliseconds; some patterns would take minutes."""
    text = clean(LONG[name].encode())
    for read in (of_a_start, suspect, of_a_life, of_a_crash):
        read(text)
        read(LONG[name])
