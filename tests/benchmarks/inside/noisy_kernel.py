"""Becomes a kernel, and leaves a child that writes to the stderr they were started with.

    python noisy_kernel.py --gate FIFO --record FILE --size BYTES --piece BYTES [--die] COMMAND ...

The child waits until somebody has opened the gate for writing and closed it. It leaves in the
record how many seconds the writing took; with `--die` it kills the kernel as soon as it has written.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

LINE = b"~" * 99 + b"\n"


def main() -> None:
    """Fork: the parent keeps the pid that the server knows and becomes the kernel."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gate", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--piece", type=int, required=True)
    parser.add_argument("--die", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    kernel = os.getpid()
    if os.fork():
        os.execvp(args.command[0], args.command)
    args.gate.read_bytes()
    if os.getppid() != kernel:
        return  # the kernel is gone, and its pid may be somebody else's
    seconds = write(args.size, args.piece)
    if args.die:
        os.kill(kernel, signal.SIGKILL)
    unfinished = args.record.with_suffix(".unfinished")
    unfinished.write_text(str(seconds))
    unfinished.rename(args.record)


def write(size: int, piece: int) -> float:
    """Write lines of 100 bytes in such pieces and return the seconds that it took."""
    stderr = sys.stderr.fileno()
    text = memoryview(LINE * (piece // len(LINE) + 2))
    began, written = time.perf_counter(), 0
    while written < size:
        start = written % len(LINE)
        written += os.write(stderr, text[start : start + min(piece, size - written)])
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
