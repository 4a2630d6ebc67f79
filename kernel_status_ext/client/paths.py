"""The only place that knows how the server's calls are spelled."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from .errors import BadRequest

KERNELS = "api/kernels"
RUNS = f"{KERNELS}/runs"

Words = str | Iterable[str] | None
"""What may be given for one word: a comma list, several words, or None for any."""


def kernel_path(kernel_id: str, call: str = "") -> str:
    """Spell a call about a kernel, or the kernel itself.

    Args:
        kernel_id: The kernel.
        call: The call's last part.

    Returns:
        The path below base_url.

    Raises:
        BadRequest: It is no id.
    """
    hint = f"{kernel_id!r} is no kernel's id: see list() for those that are."
    return _path(KERNELS, kernel_id, call, hint)


def run_path(run_id: str, call: str = "") -> str:
    """Spell a call about a run; as ``kernel_path`` does."""
    return _path(RUNS, run_id, call, f"{run_id!r} is no run's id: see runs() for those that are.")


def _path(below: str, its_id: str, call: str, hint: str) -> str:
    if its_id in ("", ".", ".."):  # what stands between would change the path
        raise BadRequest(hint)
    return "/".join(filter(None, [below, quote(its_id, safe=""), call]))


def given(**params: object) -> dict[str, str]:
    """Make a query of what is given."""
    return {name: str(value) for name, value in params.items() if value is not None}


def comma_list(wish: str | Iterable[str]) -> str:
    """Write words as a query has them."""
    # str() of a word is what travels, also where it is an enum of Python 3.10.
    return str(wish) if isinstance(wish, str) else ",".join(str(each) for each in wish)
