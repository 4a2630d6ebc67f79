"""The only place that reads what a process wrote to stderr before it ended.

It takes text and says what is known of the cause. Most kernels are Python's, so most of what is
recognized is Python's; what is not recognized is quoted or left alone, never guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace

from .crashes import why_it_gave_up
from .shadows import HIDEABLE, NOT_A_PACKAGE, files_shown, hiding_file, module_of
from .words import Cause

QUOTED = 200
"""Characters of a line that are quoted at most."""

LONGEST = 1000
"""Characters of a line that are looked at."""

LINES = 1000
"""Lines that are looked at, of the end."""


@dataclass(frozen=True, slots=True)
class LastWords:
    """What stderr says of an end."""

    quote: str
    """What is told of it, with names from stderr; follows "The kernel exited ...: "."""
    plain: str = ""
    """The same without them, for servers that show no tracebacks."""
    hint: str = ""
    plain_hint: str = ""
    cause: Cause | None = None
    """The cause if it says one."""


_FRAME = re.compile(r'^[ \t|]+File "([^"\n]+)", line (\d+),? in (.+)$', re.MULTILINE)
_PREFIX = re.compile(r'File "([^"\n]+?)[\\/]lib(?:32|64)?[\\/]python\d')


def _line_with(words: str, text: str) -> str:
    """Return the last line that has these words in it, or nothing."""
    return next((line for line in reversed(text.splitlines()) if words in line), "")


_NO_ATTRIBUTE = re.compile(r"module '(\w+)' has no attribute")


def suspect(stderr: str) -> str | None:
    """Name the module that a file of the user's may hide, where stderr does not tell the file.

    Args:
        stderr: The text.

    Returns:
        A module's name, for somebody who can look for the file, or None.
    """
    last = _last_exception(_readable(stderr))
    # What Python ignores at its end may name the module that the exception does not.
    ignored = stderr.partition(_IGNORED)[2].splitlines()
    lines = (last, *(line[:LONGEST] for line in reversed(ignored)))
    found = (NOT_A_PACKAGE.search(line) or _NO_ATTRIBUTE.search(line) for line in lines)
    names = (each.group(1) for each in found if each is not None)
    return next((name for name in names if name in HIDEABLE), None)


# -- which lines count ------------------------------------------------------------------------

_EXCEPTION = re.compile(
    r"(?:[A-Za-z_][\w.]*\.)?(?:[A-Z]\w*)?(?:Error|Exception|Exit|Interrupt|Warning|Group)"
    r"(?: \[\w+\])?(?::.*)?$"
)
_OTHERS = re.compile(r"Exception in thread |Caused by: |E(?:rror|RROR)\b.*: ")
"""Java, R, Julia and many others."""
_IN_A_GROUP = re.compile(r"^[ \t]*[|+][ \t|+-]*")
_IGNORED = "Exception ignored "


def _last_exception(text: str) -> str:
    lines = text.splitlines()[::-1]
    found = (line for kind in (_EXCEPTION, _OTHERS) for line in lines if kind.match(line))
    return next(found, "")


def _readable(stderr: str) -> str:
    """Leave out what is no cause, the frames of exception groups, and the rest of long lines."""
    kept, ignoring = [], False
    for line in stderr.splitlines()[-LINES:]:
        short = line[:LONGEST]
        plain = short if _FRAME.match(short) else _IN_A_GROUP.sub("", short)
        ignoring = ignoring or plain.startswith(_IGNORED)
        if not ignoring:
            kept.append(plain)
        elif _EXCEPTION.match(plain):
            ignoring = False
    return "\n".join(kept)


# -- readers: each recognizes one kind of last words ------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the readers look at."""

    text: str
    exception: str
    """The last line that names a Python exception, or nothing."""
    command: str
    known: list[str]
    """Files of the user's that somebody has looked for."""
    shown: list[str]
    """Files of the user's that Python named as modules."""


Reader = Callable[[_Scene], LastWords | None]


def _final(scene: _Scene, words: str) -> str:
    """Return the last line with these words, unless an exception came after it."""
    line = _line_with(words, scene.text)
    after = scene.text.rpartition(line)[2] if line else ""
    return "" if any(map(_EXCEPTION.match, after.splitlines())) else line


def _shadowed(scene: _Scene) -> LastWords | None:
    frames = [(path, where) for path, _line, where in _FRAME.findall(scene.text)]
    path = hiding_file(scene.exception, frames, scene.known)
    path = path or next(iter([*scene.known, *scene.shown]), None)
    is_no_package = NOT_A_PACKAGE.search(scene.exception)
    if path is None and not (is_no_package and is_no_package.group(1) in HIDEABLE):
        return None
    name = module_of(path) if path else is_no_package.group(1) if is_no_package else ""
    which = path or f"a file {name}.py in its folder or on its path"
    return LastWords(
        f"{'the file ' if path else ''}{which} hides the module {name!r}",
        "a file of the user's hides a module",
        f"rename {which}",
        "rename the file, see the kernel's folder",
        Cause.SHADOWED_MODULE,
    )


_NO_MODULE = re.compile(
    r"(?:(?P<python>(?:[A-Za-z]:)?[^:]*(?:python|pypy)[\w.]*): "
    r"|.*\bModuleNotFoundError: |Error while finding .*)"
    r"No module named '?(?P<name>[\w.]+)'?"
)
_DISTRIBUTIONS = {
    "ipykernel": "ipykernel",
    "ipykernel_launcher": "ipykernel",
    "IPython": "ipython",
    "zmq": "pyzmq",
}
"""The packages of modules that a Python kernel cannot be without."""


def _no_module(scene: _Scene) -> LastWords | None:
    found = _NO_MODULE.match(_final(scene, "No module named "))
    if found is None:
        return None
    name = found["name"]
    python = found["python"] or _python(scene)
    top = name.partition(".")[0]
    pip = f"{shlex.quote(python)} -m pip install" if python else "pip install"
    package = _DISTRIBUTIONS.get(top, "...")
    what = "it" if top in _DISTRIBUTIONS else "the package that has it"
    return LastWords(
        f"{python or 'its Python'} has no module named {name!r}",
        "a module that it needs is missing",
        f"install {what} there ({pip} {package}) or choose another kernel",
        "install it where the kernel runs, or choose another kernel",
        Cause.MODULE_NOT_FOUND,
    )


def _python(scene: _Scene) -> str:
    program = re.split(r"[\\/]", scene.command)[-1]
    if program.startswith(("python", "pypy")):
        return scene.command
    found = _PREFIX.search(scene.text)
    return f"{found.group(1)}/bin/python" if found else ""


_NO_LIBRARY = re.compile(r"([^\s:]+): cannot open shared object file")


def _no_library(scene: _Scene) -> LastWords | None:
    found = _NO_LIBRARY.search(_final(scene, "cannot open shared object file"))
    if found is None:
        return None
    name = found.group(1)
    return LastWords(
        f"the shared library {name} was not found",
        "a shared library was not found",
        f"install the package that brings {name}, or reinstall the one that needs it",
        "install the package that brings it",
        Cause.IMPORT_ERROR,
    )


def _import_failed(scene: _Scene) -> LastWords | None:
    if not re.match(r"(?:\w+\.)*ImportError\b", scene.exception):
        return None
    return LastWords(
        f"it said {_quoted(scene.exception)}",
        "an import failed",
        "its packages do not fit together: reinstall the one that is named",
        "its packages do not fit together: reinstall them",
        Cause.IMPORT_ERROR,
    )


_IN_USE = re.compile(r"ddress already in use(?:.*?((?:tcp|ipc)://[^\s'\")]+))?")


def _address_in_use(scene: _Scene) -> LastWords | None:
    found = _IN_USE.search(_final(scene, "ddress already in use"))
    if found is None:
        return None
    return LastWords(
        f"an address that it was given is in use already ({found.group(1) or 'a port'})",
        "an address that it was given is in use already",
        "find the program that uses it, or restart the kernel to give it other ports",
        "restart the kernel to give it other ports",
        Cause.ADDRESS_IN_USE,
    )


def _fatal(scene: _Scene) -> LastWords | None:
    line = _line_with(_FATAL, scene.text)
    if not line:
        return None
    hint = "its Python is broken or misled (PYTHONHOME): reinstall its environment"
    return LastWords(f"it said {_quoted(line)}", hint=hint)


def _native(scene: _Scene) -> LastWords | None:
    """Read the line of a runtime that gave up, unless an exception came after it."""
    lines = scene.text.splitlines()
    told = next((n for n, line in enumerate(reversed(lines)) if _EXCEPTION.match(line)), None)
    found = why_it_gave_up(lines if told is None else lines[len(lines) - told :])
    return LastWords(f"it said {_quoted(found[0])}", hint=found[1]) if found else None


def _exception(scene: _Scene) -> LastWords | None:
    if not scene.exception:
        return None
    hint = "its traceback says where" if _TRACEBACK in scene.text else ""
    return LastWords(f"it said {_quoted(scene.exception)}", hint=hint)


_TRACEBACK = "Traceback (most recent call last)"


_NOISE = re.compile(
    r"without encryption|^\s*$|^\d+\.\d+s - |NOTE: When using the `ipython kernel`"
    r"|^\s*(?:hint|cause|Caused by|note): |^Try [`'\"]|^usage: "
    r"|^Execution halted|^Node\.js v|^\s+(?:from|at) \S|^note: run with `RUST_"
)
"""What healthy kernels write, too: ipykernel's warning of TCP, the debugger's of frozen modules."""


def _anything(scene: _Scene) -> LastWords | None:
    lines = [line for line in scene.text.splitlines() if not _NOISE.search(line)]
    return LastWords(f"it said {_quoted(lines[-1])}") if lines else None


def _quoted(line: str) -> str:
    line = " ".join(line.split())
    return f'"{line[:QUOTED]}{"…" if len(line) > QUOTED else ""}"'


STARTING: tuple[Reader, ...] = (
    _fatal,
    _address_in_use,
    _shadowed,
    _no_module,
    _no_library,
    _import_failed,
    _native,
    _exception,
    _anything,
)
"""Who reads the last words of a process that never answered, in this order."""


def of_a_start(stderr: str, command: str = "", hiding: str | None = None) -> LastWords | None:
    """Read the last words of a process that ended before it ever answered.

    Args:
        stderr: The end of its stderr.
        command: The program that was launched.
        hiding: A file that was found to hide the module that ``suspect`` names.

    Returns:
        What they say, None if they say nothing.
    """
    text = _readable(stderr)
    known = [hiding] if hiding and module_of(hiding) == suspect(stderr) else []
    scene = _Scene(text, _last_exception(text), command, known, files_shown(stderr))
    return next((words for read in STARTING if (words := read(scene))), None)


def of_a_life(stderr: str) -> LastWords | None:
    """Read the last words of a process that had worked.

    Only an exception that is the very last counts, or what a runtime says that gives up.

    Args:
        stderr: The end of its stderr.

    Returns:
        What they say, None if they say nothing about the end.
    """
    last = stderr.rstrip().rpartition("\n")[2][:LONGEST]
    scene = _Scene(stderr, last if _EXCEPTION.match(last) else "", "", [], [])
    return _exception(scene) or _native(replace(scene, text=_readable(stderr)))


_CELL = re.compile(r"[\\/]ipykernel_\d+[\\/]\d+\.py$|^<ipython-input-|^<cell")
_FATAL = "Fatal Python error:"
_ITS_THREAD = "Current thread "
_OTHER_THREAD = "\nThread 0x"


def of_a_crash(stderr: str) -> LastWords | None:
    """Read why native code gave up, and the stack that Python's faulthandler leaves of it.

    Args:
        stderr: The end of its stderr.

    Returns:
        Why and where it crashed, None if neither is told.
    """
    why = _native(_Scene(_readable(stderr), "", "", [], []))
    where = _crash_place(stderr)
    if why is None or where is None:
        return why or where
    return replace(why, quote=f"{why.quote}; {where.quote}")


def _crash_place(stderr: str) -> LastWords | None:
    _, found, stacks = stderr.rpartition(_FATAL)
    stack = stacks.rpartition(_ITS_THREAD)[2].partition(_OTHER_THREAD)[0] if found else ""
    frames = _FRAME.findall("\n".join(line[:LONGEST] for line in stack.splitlines()))
    if not frames:
        return None
    path, line, where = frames[0]
    inside = f'{where} ("{path}", line {line})'
    cell = next((number for file, number, _ in frames if _CELL.search(file)), None)
    if cell is None:
        return LastWords(f"it crashed in {inside}")
    if _CELL.search(path):
        return LastWords(f"it crashed in line {cell} of the cell, in {where}")
    return LastWords(f"it crashed in line {cell} of the cell, inside {inside}")
