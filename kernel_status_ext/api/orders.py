"""Reads what somebody wants to have run: the body of ``POST /api/kernels/ID/runs``."""

from __future__ import annotations

import json
import math
import re
import uuid
from typing import Annotated, Any

import msgspec

RUN_ID = r"\A[A-Za-z0-9_.:-]{1,128}\Z"
"""What a caller may give as a run's id."""

HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""How half of a surrogate pair is written in JSON; both halves are, too."""

LOOKED_THROUGH = 1 << 20
"""Bytes of a wrong body that is read once more to name the field."""


class Wanted(msgspec.Struct, frozen=True):
    """What somebody wants to have run."""

    code: str
    run_id: Annotated[str, msgspec.Meta(pattern=RUN_ID)] | None = None
    silent: bool = False
    store_history: bool | None = None
    stop_on_error: bool = True
    subshell_id: str | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0)] | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """The content of its ``execute_request``."""
        silent = self.silent
        return {
            "code": self.code,
            "silent": silent,
            "store_history": not silent if self.store_history is None else self.store_history,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": self.stop_on_error,
        }


_decode = msgspec.json.Decoder(Wanted).decode


def read_wanted(body: bytes) -> Wanted:
    """Read a body.

    Raises:
        ValueError: It is no JSON object, lacks ``code``, or a field is wrong; the message names it.
    """
    try:
        wanted = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        wrong = _half_a_character(body, error) or str(error)
        message = f"The body must be a JSON object with code, a string: {wrong}."
        raise ValueError(message) from error
    if wanted.timeout is not None and not math.isfinite(wanted.timeout):
        raise ValueError("timeout must be a finite number of seconds above 0 - at `$.timeout`.")
    return wanted


def _half_a_character(body: bytes, error: Exception) -> str | None:
    """Name the field that holds half of a surrogate pair; None if that is not what is wrong."""
    # Only then: to read a body that is wrong once more takes as long as jupyter_server's own way.
    if isinstance(error, msgspec.ValidationError) or not HALF.search(body):
        return None
    if len(body) > LOOKED_THROUGH:
        return f"{error}, or half of a surrogate pair, which is no text"
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for name, value in fields.items() if isinstance(fields, dict) else ():
        try:
            msgspec.json.encode(value)
        except UnicodeEncodeError:
            return f"half of a surrogate pair is no text - at `$.{name}`"
        except (msgspec.MsgspecError, OverflowError, RecursionError):
            return None
    return None


def new_run_id() -> str:
    """Make an id for a run whose caller gave none."""
    return uuid.uuid4().hex
