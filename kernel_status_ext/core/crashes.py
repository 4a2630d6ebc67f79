"""The only place that knows what native code writes when it gives up: one line that says why.

Each line here is written by a runtime (libc, a C++ or Rust or Go runtime, OpenMP, the JVM ...) in
the moment in which it ends its process. What a program may also write and live on is not here.
"""

from __future__ import annotations

import re

NEAR_THE_END = 100
"""Lines before the end that are looked at: a runtime may write stacks after its line."""

MEMORY_DAMAGED = (
    "native code damaged its memory: run the last cell in small parts to find the library"
)
NO_MEMORY = "it could not get memory: load less data at a time, or ask for more memory"

_LINES: tuple[tuple[str, str], ...] = (
    (r"OMP: Error #15:", "keep one of the two OpenMP libraries in its environment"),
    (r"OMP: Error #\d+:", ""),
    (r"(?:free|[cm]alloc|realloc|munmap_chunk|malloc_consolidate|sysmalloc)\(\): ", MEMORY_DAMAGED),
    (r"double free or corruption|corrupted (?:size|double-linked list)", MEMORY_DAMAGED),
    (r"\*\*\* (?:(?:stack smashing|buffer overflow) detected|Error in)", MEMORY_DAMAGED),
    (r"\S+\(\d+,\w+\) malloc: \*\*\* ", MEMORY_DAMAGED),
    (r"terminate called (?:after throwing .*'std::bad_alloc'|.*bad_alloc)", NO_MEMORY),
    (r"terminate called |libc\+\+abi: ", ""),
    (r"memory allocation of \d+ bytes failed", NO_MEMORY),
    (r"fatal error: runtime: (?:out of memory|cannot allocate memory)", NO_MEMORY),
    (r"Terminating due to java\.lang\.OutOfMemoryError", "give its JVM a larger heap (-Xmx)"),
    (r"[^\n]{0,300}: Assertion [`'\"][^\n]* failed\.|Assertion failed: ", ""),
    (r"F\d{4} [\d:.]+ +\d+ |\d{4}-\d\d-\d\d [\d:.]+: F \S+:\d+\] ", ""),
    (r"thread '[^\n]*' panicked at |fatal runtime error: ", ""),
    (r"(?:panic|fatal error): ", ""),
    (r"LLVM ERROR: |(?:Intel )?MKL FATAL ERROR: |INTEL MKL ERROR: |MPI_ABORT was invoked", ""),
    (r"OpenBLAS ?: Program is Terminated", "set OPENBLAS_NUM_THREADS to a smaller number"),
    (r" ?\*\*\* caught (?:segfault|bus error|illegal operation)", ""),
    (r"(?:\[\d+\] )?signal \(?\d+[\d.]*\)?(?: \(\d+\))?: ", ""),
    (r"# A fatal error has been detected by the Java Runtime", "its hs_err file says more"),
    (r"Fatal Python error: ", ""),
)
_KNOWN = [(re.compile(pattern), hint) for pattern, hint in _LINES]

_GOES_ON = re.compile(r"\s*what\(\): |address 0x|\s*[`'\"]|[a-z]|called ")
"""The second line of what C++, Rust and R write on two."""
_TWO_LINES = re.compile(r"terminate called |thread '.*:$| ?\*\*\* caught ")

_NAMES_THE_SIGNAL = re.compile(
    r"Fatal Python error: (?:Segmentation fault|Aborted|Bus error|Illegal instruction"
    r"|Floating[- ]point exception)$"
)


def why_it_gave_up(lines: list[str]) -> tuple[str, str] | None:
    """Find the line in which native code says why it ends its process.

    Args:
        lines: The end of a stderr.

    Returns:
        The line, with what belongs to it, and what to do (maybe nothing); None if there is none.

    >>> why_it_gave_up(["terminate called after throwing an instance of 'E'", "  what():  no"])
    ("terminate called after throwing an instance of 'E' what(): no", '')
    """
    near = lines[-NEAR_THE_END:]
    for number in reversed(range(len(near))):
        hint = _hint(near[number])
        if hint is not None:
            return " ".join(" ".join(_whole(near, number)).split()), hint
    return None


def _hint(line: str) -> str | None:
    if _NAMES_THE_SIGNAL.match(line):
        return None
    return next((hint for pattern, hint in _KNOWN if pattern.match(line)), None)


def _whole(lines: list[str], number: int) -> list[str]:
    follows = lines[number + 1 : number + 2]
    two = _TWO_LINES.match(lines[number]) and follows and _GOES_ON.match(follows[0])
    return lines[number : number + 2] if two else [lines[number]]
