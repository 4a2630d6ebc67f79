"""Counts pytest's skips and fails on one that is not on the list of those with a known reason."""

import re
import sys
from pathlib import Path


def main(output: str, allowed: str) -> int:
    """Compare the skips in pytest's output with the allowed reasons; return the exit code."""
    reasons = [line for line in Path(allowed).read_text().splitlines() if line[:1] not in ("", "#")]
    # What the tests' kernels print stands between pytest's lines, and may be no text.
    printed = Path(output).read_text(encoding="utf-8", errors="replace")
    skipped = re.findall(r"^SKIPPED \[(\d+)\] (.*)$", printed, re.MULTILINE)
    unknown = [where for _, where in skipped if not any(reason in where for reason in reasons)]
    print(f"{sum(int(count) for count, _ in skipped)} skipped")  # noqa: T201
    for where in unknown:
        print(f"not on the list: {where}")  # noqa: T201
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
