"""The only place that tells a user's file that hides a module from all other files."""

from __future__ import annotations

import itertools
import re
import sys

_IMPORTED_BY_KERNELS = frozenset(
    {
        *("IPython", "comm", "debugpy", "decorator", "dateutil", "ipykernel", "jedi"),
        *("jupyter_client", "jupyter_core", "matplotlib_inline", "nest_asyncio", "packaging"),
        *("parso", "pexpect", "platformdirs", "prompt_toolkit", "psutil", "pygments"),
        *("six", "stack_data", "tornado", "traitlets", "wcwidth", "zmq"),
    }
)
HIDEABLE = sys.stdlib_module_names | _IMPORTED_BY_KERNELS
"""Names that a file of the user's should not have."""

_INSTALLED = re.compile(
    r"[\\/]lib(?:32|64)?[\\/](?:python|pypy)\d|[\\/](?:site|dist)-packages[\\/]|\\[Ll]ib\\|\.zip[\\/]"
)
_FILE = re.compile(r"([^\\/]+?)(?:[\\/]__init__)?\.py$")
_MACHINERY = re.compile(r"<frozen importlib\._\w+>")
IMPORTED = "<module>"


def module_of(path: str) -> str:
    """Name the module that a file is.

    >>> module_of("/home/me/random.py"), module_of("/home/me/zmq/__init__.py")
    ('random', 'zmq')
    """
    found = _FILE.search(path)
    return found.group(1) if found else ""


def _hides(path: str) -> bool:
    return module_of(path) in HIDEABLE and not _INSTALLED.search(path) and path[0] != "<"


NOT_A_PACKAGE = re.compile(r"No module named '[^']+'; '([\w.]+)' is not a package")
LONGEST_SHOWN = 1000
"""Characters of a line in which a module is looked for."""

_NAMED_FILE = re.compile(r"(?:\(|')([^()'\n]+\.py)(?:\)|')")
_NAMED_MODULE = re.compile(r"(?:from|module) '(\w+)'")


Frame = tuple[str, str]
"""The file of a frame, and the function; ``<module>`` where the file was being imported."""


def hiding_file(exception: str, frames: list[Frame], others: list[str]) -> str | None:
    """Find the file of the user's that hides a module.

    Args:
        exception: The line of the exception.
        frames: The traceback, the innermost frame last.
        others: Files that are known from elsewhere.

    Returns:
        The file, None if nothing speaks for one.
    """
    module = _NAMED_MODULE.search(exception) or NOT_A_PACKAGE.search(exception)
    name = module.group(1) if module else None
    imported = [path for path, where in frames if where == IMPORTED]
    candidates = [*_NAMED_FILE.findall(exception), *imported, *others]
    named = [path for path in candidates if module_of(path) == name and _hides(path)]
    return next(iter([*reversed(named), *_imported_by_libraries(frames)]), None)


def _imported_by_libraries(frames: list[Frame]) -> list[str]:
    """Find files of the user's that a library took for a module of its own needs, last first."""
    real = [frame for frame in frames if not _MACHINERY.match(frame[0])]
    return [
        path
        for (importer, statement), (path, where) in reversed(list(itertools.pairwise(real)))
        if statement == where == IMPORTED and _hides(path) and _is_a_library(importer)
    ]


def _is_a_library(path: str) -> bool:
    return path.startswith("<frozen ") or bool(_INSTALLED.search(path))


_SHOWN = re.compile(r"^Exception ignored .*<module '\w+' from '([^'\n]+)'")


def files_shown(stderr: str) -> list[str]:
    """Find files of the user's in what Python shows of modules."""
    lines = (line for line in stderr.splitlines() if len(line) < LONGEST_SHOWN)
    found = [path for line in lines for path in _SHOWN.findall(line)]
    return [path for path in found if _hides(path)]
