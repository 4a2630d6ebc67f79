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
        wrong = _half_a_character(body) or str(error)
        message = f"The body must be a JSON object with code, a string: {wrong}."
        raise ValueError(message) from error
    if wanted.timeout is not None and not math.isfinite(wanted.timeout):
        raise ValueError("timeout must be a finite number of seconds above 0 - at `$.timeout`.")
    return wanted


def _half_a_character(body: bytes) -> str | None:
    """Name what is wrong with a field that holds half of a surrogate pair; None if none does."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for name, value in fields.items() if isinstance(fields, dict) else ():
        if re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
            return f"half of a surrogate pair is no text - at `$.{name}`"
    return None


def new_run_id() -> str:
    """Make an id for a run whose caller gave none."""
    return uuid.uuid4().hex
