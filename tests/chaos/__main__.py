"""The command: `python -m tests.chaos --seed N --minutes M`."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `support`, as pytest does

from support import openapi

from .play import play
from .world import Options


def main() -> int:
    """Play, print, and return 0 when all that was told was true."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--patience", type=float, default=Options.patience, help="seconds")
    parser.add_argument("--without", nargs="*", default=[], help="actions and kinds of cells")
    chosen = parser.parse_args()
    options = Options(60 * chosen.minutes, chosen.patience, frozenset(chosen.without))
    print(f"seed {chosen.seed}, {chosen.minutes} min", flush=True)
    with pytest.MonkeyPatch.context() as patch:
        openapi.held(patch)
        faults = play(chosen.seed, options)
    print("".join(f"\n{fault.what}" for fault in faults))
    print(f"seed {chosen.seed}: {len(faults)} faults")
    return min(1, len(faults))


if __name__ == "__main__":
    sys.exit(main())
