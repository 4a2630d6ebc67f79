"""The only place that says what Ctrl-C means while a run is followed."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from .errors import ClientClosed, KernelStatusError
from .outcomes import RunLeft
from .shared import complain


class CtrlC:
    """While it is entered, Ctrl-C interrupts the run, and once more leaves it to itself."""

    def __init__(self, run_id: str, interrupt: Callable[[str], object]) -> None:
        """Begin with nothing changed.

        Args:
            run_id: The run.
            interrupt: Interrupts it; called in a thread of its own.
        """
        self._run_id = run_id
        self._interrupt = interrupt
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> None:
        """Take Ctrl-C over, unless it is ignored: by nohup, or a script's background."""
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._first)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        signal.signal(signal.SIGINT, self._before)

    def _first(self, _number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, self._second)
        # Not here: whoever reads from the server is in the middle of it.
        threading.Thread(target=self._act, daemon=True).start()

    def _act(self) -> None:
        if sys.stderr.isatty():
            complain(f"interrupting run {self._run_id}; Ctrl-C once more leaves it")
        try:
            self._interrupt(self._run_id)
        except ClientClosed:
            return  # it ended meanwhile
        except KernelStatusError as error:
            complain(f"{error} Ctrl-C once more leaves the run to itself.")

    def _second(self, _number: int, _frame: FrameType | None) -> None:
        raise RunLeft(f"left run {self._run_id} to itself; `interrupt {self._run_id}` ends it")
