"""The only place that reads what a process wrote to stderr before it ended.

It takes text and says what is known of the cause. Most kernels are Python's, so most of what is
recognized is Python's; what is not recognized is quoted or left alone, never guessed.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass

from .words import Cause

QUOTED = 200
"""Characters of a line that are quoted at most."""

LONGEST = 1000
"""Characters of a line that are looked at."""


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


# -- which file or module is meant ------------------------------------------------------------

_IMPORTED_BY_KERNELS = frozenset(
    {
        *("IPython", "comm", "debugpy", "decorator", "dateutil", "ipykernel", "jedi"),
        *("jupyter_client", "jupyter_core", "matplotlib_inline", "nest_asyncio", "packaging"),
        *("parso", "pexpect", "platformdirs", "prompt_toolkit", "psutil", "pygments"),
        *("six", "stack_data", "tornado", "traitlets", "wcwidth", "zmq"),
    }
)
_HIDEABLE = sys.stdlib_module_names | _IMPORTED_BY_KERNELS
"""Names that a file of the user's should not have."""

_INSTALLED = re.compile(
    r"[\\/](?:lib[\\/]python\d|site-packages|dist-packages|Lib[\\/])|\.zip[\\/]"
)
_FRAME = re.compile(r'^[ \t]+File "([^"]+)", line (\d+),? in (.+)$', re.MULTILINE)
_FILE = re.compile(r"([^\\/]+?)(?:[\\/]__init__)?\.py$")
_PREFIX = re.compile(r'File "([^"\n]+?)[\\/]lib[\\/]python\d')


def module_of(path: str) -> str:
    """Name the module that a file is.

    >>> module_of("/home/me/random.py"), module_of("/home/me/zmq/__init__.py")
    ('random', 'zmq')
    """
    found = _FILE.search(path)
    return found.group(1) if found else ""


def _hides(path: str) -> bool:
    return module_of(path) in _HIDEABLE and not _INSTALLED.search(path) and path[0] != "<"


_NOT_A_PACKAGE = re.compile(r"No module named '[^']+'; '([\w.]+)' is not a package")
_NO_ATTRIBUTE = re.compile(
    r"AttributeError: (?:partially initialized )?module '(\w+)' has no attribute"
)


def _line_with(words: str, text: str) -> str:
    """Return the last line that has these words in it, or nothing."""
    return next((line for line in reversed(text.splitlines()) if words in line), "")


def _is_no_package(text: str) -> re.Match[str] | None:
    return _NOT_A_PACKAGE.search(_line_with("is not a package", text))


def suspect(stderr: str) -> str | None:
    """Name the module that a file of the user's may hide, where stderr does not tell the file.

    Args:
        stderr: The text.

    Returns:
        A module's name, for somebody who can look for the file, or None.
    """
    text = _shortened(stderr)
    found = _is_no_package(text) or _NO_ATTRIBUTE.search(_last_exception(text))
    return found.group(1) if found and found.group(1) in _HIDEABLE else None


# -- readers: each recognizes one kind of last words ------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the readers look at."""

    text: str
    exception: str
    """The last line that names a Python exception, or nothing."""
    command: str
    hiding: str | None


Reader = Callable[[_Scene], LastWords | None]

_EXCEPTION = re.compile(
    r"(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning)(?::.*)?$"
)


def _last_exception(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if _EXCEPTION.match(line)), "")


def _shadowed(scene: _Scene) -> LastWords | None:
    name, path = suspect(scene.text), scene.hiding
    if path is None:
        path = _hiding_file(scene)
    elif name is not None and module_of(path) != name:
        path = None
    if path is None and not (name and _is_no_package(scene.text)):
        return None
    name = module_of(path) if path else name
    which = path or f"a file {name}.py in its folder or on its path"
    return LastWords(
        f"the file {path} hides the module {name!r}" if path else f"{which} hides that module",
        "a file of the user's hides a module",
        f"rename {which}",
        "rename the file, see the kernel's folder",
        Cause.SHADOWED_MODULE,
    )


_NAMED_FILE = re.compile(r"(?:\(|')([^()'\n]+\.py)(?:\)|')")


def _hiding_file(scene: _Scene) -> str | None:
    named = _NAMED_FILE.search(scene.exception)
    if named and _hides(named.group(1)):
        return named.group(1)
    frames = [path for path, _line, where in _FRAME.findall(scene.text) if where == "<module>"]
    hiding = [path for path in frames if _hides(path) and scene.exception]
    # The first is the program itself: it may have any name, unless the trouble is about it.
    if hiding and hiding[-1] == frames[0] and f"'{module_of(frames[0])}'" not in scene.exception:
        return None
    return hiding[-1] if hiding else None


_NO_MODULE = re.compile(
    r"(?:(?P<python>(?:[A-Za-z]:)?[^:]*python[\w.]*): "
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
    line = _line_with("No module named ", scene.text)
    found = _NO_MODULE.match(line)
    if found is None or scene.exception not in ("", line):
        # It could do without that one, or something else came of it.
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
    if program.startswith("python"):
        return scene.command
    found = _PREFIX.search(scene.text)
    return f"{found.group(1)}/bin/python" if found else ""


_NO_LIBRARY = re.compile(r"([^\s:]+): cannot open shared object file")


def _no_library(scene: _Scene) -> LastWords | None:
    found = _NO_LIBRARY.search(_line_with("cannot open shared object file", scene.text))
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
    found = _IN_USE.search(_line_with("ddress already in use", scene.text))
    if found is None:
        return None
    return LastWords(
        f"an address that it was given is in use already ({found.group(1) or 'a port'})",
        "an address that it was given is in use already",
        "find the program that uses it, or restart the kernel to give it other ports",
        "restart the kernel to give it other ports",
        Cause.ADDRESS_IN_USE,
    )


def _exception(scene: _Scene) -> LastWords | None:
    if not scene.exception:
        return None
    return LastWords(f"it said {_quoted(scene.exception)}", hint="its traceback says where")


_NOISE = re.compile(r"without encryption|^\s*$|^\d+\.\d+s - |NOTE: When using the `ipython kernel`")
"""What healthy kernels write, too: ipykernel's warning of TCP, the debugger's of frozen modules."""


def _anything(scene: _Scene) -> LastWords | None:
    lines = [line for line in scene.text.splitlines() if not _NOISE.search(line)]
    return LastWords(f"it said {_quoted(lines[-1])}") if lines else None


def _quoted(line: str) -> str:
    line = " ".join(line.split())
    return f'"{line[:QUOTED]}{"…" if len(line) > QUOTED else ""}"'


def _shortened(text: str) -> str:
    """Cut long lines: nothing of interest is beyond, and no pattern is to be slow on them."""
    return "\n".join(line[:LONGEST] for line in text.splitlines())


STARTING: tuple[Reader, ...] = (
    _address_in_use,
    _shadowed,
    _no_module,
    _no_library,
    _import_failed,
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
    text = _shortened(stderr)
    scene = _Scene(text, _last_exception(text), command, hiding)
    return next((words for read in STARTING if (words := read(scene))), None)


def of_a_life(stderr: str) -> LastWords | None:
    """Read the last words of a process that had worked: only an exception that is the very last.

    Args:
        stderr: The end of its stderr.

    Returns:
        What they say, None if they say nothing about the end.
    """
    last = stderr.rstrip().rpartition("\n")[2][:LONGEST]
    return _exception(_Scene(stderr, last if _EXCEPTION.match(last) else "", "", None))


_CELL = re.compile(r"[\\/]ipykernel_\d+[\\/]\d+\.py$|^<ipython-input-|^<cell")
_FATAL = "Fatal Python error:"


def of_a_crash(stderr: str) -> LastWords | None:
    """Read the stack that Python's faulthandler leaves of a crash of native code.

    Args:
        stderr: The end of its stderr.

    Returns:
        Where it crashed, None if there is no such stack.
    """
    _, found, stack = stderr.rpartition(_FATAL)
    frames = _FRAME.findall(_shortened(stack)) if found else []
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
