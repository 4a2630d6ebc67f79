"""The states that somebody waits for: reading them, and when they hold or come true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from .words import BESIDE, ExecutionState, State, Status, Word

if TYPE_CHECKING:
    from .model import Kernel

W = TypeVar("W", bound=Word)
Wish = str | Iterable[str] | None
"""What callers may give for one word: a comma list, several words, or None for any."""


@dataclass(frozen=True, slots=True)
class Target:
    """States of which, for each given list, any one must hold; the lists hold together."""

    status: frozenset[Status] | None = None
    execution_state: frozenset[ExecutionState] | None = None
    state: frozenset[State] | None = None

    @property
    def is_any_change(self) -> bool:
        """Whether nothing is asked for but that something changes."""
        return self == Target()

    def holds(self, kernel: Kernel) -> bool:
        """Tell whether a kernel is in the wanted state."""
        return (
            _among(kernel.status, self.status)
            and _among(kernel.execution_state, self.execution_state)
            and _among(kernel.state, self.state)
        )

    def comes_true(self, before: Kernel | None, after: Kernel) -> bool:
        """Tell whether a change made the wish true that was not true before it."""
        if self.is_any_change:
            return True
        return self.holds(after) and not (before is not None and self.holds(before))

    def __str__(self) -> str:
        """Read like the query that asked for it."""
        named = ("status", "execution_state", "state")
        parts = (_shown(name, getattr(self, name)) for name in named)
        return " and ".join(part for part in parts if part) or "any change"


def _among(word: W, wanted: frozenset[W] | None) -> bool:
    return wanted is None or word in wanted


def _shown(name: str, words: frozenset[Word] | None) -> str:
    return "" if words is None else f"{name}={','.join(sorted(words))}"


def first_coming_true(target: Target, story: Sequence[Kernel], since: int) -> Kernel | None:
    """Find the first change after a revision that made a wish true.

    Args:
        target: What is waited for.
        story: The kernel after each of its changes, oldest first.
        since: The revision whose state is the "before".

    Returns:
        The kernel as that change left it, or None if no change did so.
    """
    if story and story[0].revision > since and target.comes_true(None, story[0]):
        return story[0]
    for before, after in pairwise(story):
        if after.revision > since and target.comes_true(before, after):
            return after
    return None


def read_target(
    *, status: Wish = None, execution_state: Wish = None, state: Wish = None, change: bool = False
) -> Target:
    """Read a wish from words.

    Args:
        status: Any of these, as a comma list or several words; None for any.
        execution_state: The same for what the shells do.
        state: The same for the one word.
        change: Whether no words at all mean "any change" and not "connected".

    Returns:
        The target.

    Raises:
        ValueError: A word is unknown, or the combination can never hold; the message lists
            what is allowed.
    """
    target = Target(
        _words("status", Status, status),
        _words("execution_state", ExecutionState, execution_state),
        _words("state", State, state),
    )
    if target.is_any_change and not change:
        return Target(status=frozenset({Status.CONNECTED}))
    if not _possible(target):
        raise ValueError(f"A kernel is never {target} at the same time; {_allowed(target)}.")
    return target


def _words(name: str, kind: type[W], wish: Wish) -> frozenset[W] | None:
    if wish is None:
        return None
    given = [each.strip() for each in (wish.split(",") if isinstance(wish, str) else wish)]
    allowed = {each.value: each for each in kind}
    unknown = [each for each in given if str(each) not in allowed]
    if unknown or not given:
        named = ", ".join(repr(str(each)) for each in unknown) or "nothing"
        raise ValueError(f"{name} has {named}; allowed are {', '.join(allowed)}.")
    return frozenset(allowed[str(each)] for each in given)


def _possible(target: Target) -> bool:
    return any(
        _among(status, target.status)
        and _among(execution_state, target.execution_state)
        and (target.state is None or bool(states & target.state))
        for status, beside in BESIDE.items()
        for execution_state, states in beside.items()
    )


def _allowed(target: Target) -> str:
    shown = (
        f"beside status {status} execution_state is {' or '.join(beside)} "
        f"and state {' or '.join(sorted(set().union(*beside.values())))}"
        for status, beside in BESIDE.items()
        if _among(status, target.status)
    )
    return "; ".join(shown)
