"""The only place that says how a command about runs can end that did what it was asked to do.

Outcome
 ├── RunFailed
 ├── RunDied
 ├── RunOverTime
 ├── RunLeft
 └── RunGoesOn
"""

from __future__ import annotations

from ..core.words import RunStatus
from .runs import Run


class Outcome(Exception):
    """The end of a command that is no success; the message is what is left to say, if anything."""


class RunFailed(Outcome):
    """The run raised something or was aborted; its stderr has told."""


class RunDied(Outcome):
    """The run's kernel, or its server, ended before it."""


class RunOverTime(Outcome):
    """The run's time was over."""


class RunLeft(Outcome):
    """The run was left to itself."""


class RunGoesOn(Outcome):
    """The run has not ended in the time that it had to."""


def check(run: Run) -> None:
    """Raise what a run that is over has come to, if that is no success.

    Args:
        run: The run.

    Raises:
        RunDied: Its process or its server ended.
        RunOverTime: Its own ``timeout`` ended it.
        RunFailed: Any other end.
    """
    if run.status in (RunStatus.DIED, RunStatus.LOST):
        raise RunDied
    if run.is_over_time:
        raise RunOverTime
    if not run.success:
        raise RunFailed
