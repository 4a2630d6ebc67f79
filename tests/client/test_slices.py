"""The loop of a wait: what it asks next, and when it gives up."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

from support.clients import KERNEL

from kernel_status_ext.client import (
    KernelStateTimeout,
    KernelStateUnreachable,
    RevisionUnknown,
    ServerUnreachable,
)
from kernel_status_ext.client.steps import Answer, Ask, Failed, Rest
from kernel_status_ext.client.waiting import MARGIN, SLICE, Wait


class Time:
    """A clock that goes on when it is told."""

    now = 0.0

    def __call__(self) -> float:
        """Tell seconds."""
        return self.now


def dialogue(
    replies: Iterable[tuple[float, Answer | Failed]],
    *,
    timeout: float | None = None,
    since: int | None = None,
    patience: float = 10,
) -> tuple[list[Ask], Any]:
    """Carry on a wait in which each reply takes its time; give what was asked and the outcome."""
    clock, asked, source = Time(), [], iter(replies)
    wait = Wait(
        "p",
        "s",
        "k",
        {"state": "idle"},
        timeout=timeout,
        since=since,
        patience=patience,
        clock=clock,
    )
    talk = wait.go_on()
    try:
        step = next(talk)
        while True:
            if isinstance(step, Rest):
                clock.now += step.seconds
                step = talk.send(None)
                continue
            asked.append(step)
            seconds, reply = next(source)
            clock.now += seconds
            step = talk.send(reply)
    except StopIteration as end:
        return asked, end.value
    except (KernelStateTimeout, KernelStateUnreachable, ServerUnreachable, RevisionUnknown) as end:
        return asked, end


def said(status: int, **more: Any) -> Answer:
    """An answer to a wait."""
    body = (
        {**KERNEL, **more}
        if status == 200
        else {"message": "M.", "reason": "r", "kernel": {**KERNEL, **more}}
    )
    return Answer(status, json.dumps(body).encode())


LOOKED = (0.0, said(504))
CUT = Failed("cut")
REFUSED = Failed("refused", connected=False)


def test_it_looks_first() -> None:
    """What comes and goes while the first slice is cut is not missed: its revision is known."""
    replies = [(0, said(504, revision=5)), (5, CUT), (3, said(504, revision=6)), (1, said(200))]
    asked, kernel = dialogue(replies)
    assert [each.params.get("since") for each in asked] == [None, "5", "5", "6"]
    assert float(asked[0].params["timeout"]) == 0
    assert kernel.id == "k"


def test_a_given_revision_stays() -> None:
    """With a revision of the caller's each slice passes that one, and 410 is the caller's."""
    asked, error = dialogue([(20, said(504, revision=5)), (0, said(410))], since=3)
    assert [each.params["since"] for each in asked] == ["3", "3"]
    assert float(asked[0].params["timeout"]) == SLICE
    assert isinstance(error, RevisionUnknown)


def test_a_forgotten_revision_of_ours_is_no_error() -> None:
    """A server that does not know our own revision any more is simply looked at again."""
    replies = [(0, said(504, revision=5)), (0, said(410)), (0, said(200))]
    asked, kernel = dialogue(replies)
    assert [each.params.get("since") for each in asked] == [None, "5", None]
    assert kernel.id == "k"


def test_slices_get_shorter_than_the_proxy_allows() -> None:
    """After a cut at 5 s no call is asked to take so long, and the next follows at once."""
    asked, _ = dialogue([LOOKED, (5, CUT), (3.5, said(504)), (0, said(200))])
    lengths = [float(each.params["timeout"]) for each in asked]
    assert lengths == [0, SLICE, 3.5, 4.375]
    assert asked[2].patience == 3.5 + MARGIN


def test_the_time_is_over() -> None:
    """All slices together take as long as the caller allows, and the last kernel is told."""
    replies = [LOOKED, (20, said(504)), (10, said(504, revision=9))]
    asked, error = dialogue(replies, timeout=30)
    assert [float(each.params["timeout"]) for each in asked] == [0, 20, 10]
    assert isinstance(error, KernelStateTimeout)
    assert error.kernel.revision == 9
    assert "after 30 s, expected state=idle" in str(error)


def test_one_look() -> None:
    """Without any time there is one call."""
    asked, error = dialogue([LOOKED], timeout=0)
    assert len(asked) == 1
    assert isinstance(error, KernelStateTimeout)


def test_nobody_there_at_first() -> None:
    """Where nothing listens nothing is waited for."""
    asked, error = dialogue([(0, REFUSED)])
    assert len(asked) == 1
    assert isinstance(error, ServerUnreachable)


def test_a_server_that_has_gone() -> None:
    """It is tried again with growing pauses until the patience is over."""
    replies = itertools.chain([LOOKED], itertools.repeat((0, REFUSED)))
    asked, error = dialogue(replies, patience=10)
    assert isinstance(error, ServerUnreachable)
    assert error.kernel.id == "k"
    assert 6 < len(asked) < 14


def test_a_server_that_goes_while_it_is_asked_first() -> None:
    """It was there: it is given the same time to come back."""
    asked, kernel = dialogue([(3, CUT), (0, REFUSED), (0, REFUSED), (0, said(200))])
    assert len(asked) == 4
    assert kernel.id == "k"


def test_a_server_that_comes_back() -> None:
    """A restart of the server's proxy that is shorter than the patience is not noticed."""
    bad = Answer(502)
    _, kernel = dialogue([LOOKED, (9, bad), (0, CUT), (0, bad), (1, said(200))])
    assert kernel.id == "k"


def test_the_time_is_over_while_nobody_answers() -> None:
    """The caller's time goes before our patience."""
    _, error = dialogue(itertools.chain([LOOKED], itertools.repeat((0, CUT))), timeout=3)
    assert isinstance(error, KernelStateTimeout)
    _, error = dialogue(itertools.repeat((0, CUT)), timeout=3)
    assert isinstance(error, ServerUnreachable)


def test_a_kernel_that_goes_with_its_server() -> None:
    """A server that was started anew and does not know it makes it as unreachable as a removal."""
    _, error = dialogue([LOOKED, (1, CUT), (0, REFUSED), (0, said(404))])
    assert isinstance(error, KernelStateUnreachable)
    assert "removed, or its server was started anew" in error.reason


def test_a_server_that_waits_less_long_is_not_flooded() -> None:
    """A small `max_wait` there makes pauses here."""
    replies = itertools.repeat((0, said(504)))
    asked, error = dialogue(replies, timeout=20)
    assert isinstance(error, KernelStateTimeout)
    assert len(asked) < 20
