"""A fake kernel that writes to its stderr when it is told to."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from pathlib import Path
from types import TracebackType

from .observer import first_reply
from .process import INSIDE
from .server import Server

FAKE_KERNEL = Path(__file__).parents[1] / "support" / "fake_kernel.py"


class NoisyKernel:
    """A kernel, and the child of it that will write so many bytes in such pieces; a context manager."""

    def __init__(self, server: Server, *, size: int, piece: int, die: bool = False) -> None:
        """Make its kernelspec; `die`: it is killed as soon as it has written."""
        self.kernel_id = ""
        self._server = server
        self._name = f"noisy-{uuid.uuid4().hex[:8]}"
        self._folder = Path(tempfile.mkdtemp(dir=server.process.root))
        self._gate, self._record = self._folder / "gate", self._folder / "record"
        os.mkfifo(self._gate)
        writer = [f"--gate={self._gate}", f"--record={self._record}", f"--size={size}"]
        writer += [f"--piece={piece}", *(["--die"] if die else [])]
        kernel = [sys.executable, str(FAKE_KERNEL), "-f", "{connection_file}"]
        server.process.add_kernelspec(
            self._name, [sys.executable, str(INSIDE / "noisy_kernel.py"), *writer, *kernel]
        )

    def __enter__(self) -> NoisyKernel:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the writer end if it still waits."""
        self._open_gate(os.O_NONBLOCK)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.kernel_id = self._server.start_kernel(self._name)
        first_reply(self._server.connection_file(self.kernel_id))

    def begin(self) -> None:
        """Let it write now."""
        self._open_gate()

    def seconds(self) -> float | None:
        """Return how long the writing took, None while it goes on."""
        return float(self._record.read_text()) if self._record.exists() else None

    def _open_gate(self, flags: int = 0) -> None:
        """Open and close the gate; with O_NONBLOCK only if somebody waits there."""
        try:
            os.close(os.open(self._gate, os.O_WRONLY | flags))
        except OSError:
            if not flags:
                raise
