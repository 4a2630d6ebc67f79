"""A minute of faults at random; more by hand: `python -m tests.chaos --seed N --minutes M`."""

from __future__ import annotations

import pytest

from .play import play
from .world import Options

SEED = 71
SECONDS = 40
"""After so long no further round begins."""
LEFT_OUT = frozenset({"exec", "exit", "leave", "kill", "segv"})
"""Cells that end or replace their process in their first moment: such a process is gone before its
words have left it, and the runs that it had begun are told as never begun, now and then."""


@pytest.mark.timeout(1200)
def test_what_is_told_is_true_whatever_is_done_at_once() -> None:
    """Processes, connection files, kernels that are asked directly and marks of cells agree."""
    print(f"seed {SEED}")
    faults = play(SEED, Options(SECONDS, servers=1, without=LEFT_OUT))
    assert not faults, "\n".join([f"seed {SEED}", *map(str, faults)])
