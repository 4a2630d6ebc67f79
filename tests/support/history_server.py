"""A server that notes run after run, says which were written, and does not end by itself.

    python history_server.py PATH KERNEL [COUNT]

After COUNT runs it says `all` and waits for the end of its stdin; without COUNT it goes on.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from datetime import datetime, timezone

from msgspec.structs import replace

from kernel_status_ext.core.run import Origin, Run
from kernel_status_ext.core.words import RunStatus
from kernel_status_ext.tracking.history import History, Keep


async def main(path: str, kernel: str, count: str = "") -> None:
    """Note pairs of runs, one of which has ended; print the ids of both when they are written."""
    history = History(path, Keep(), logging.getLogger(), lambda: datetime.now(timezone.utc))
    print("open", flush=True)
    for number in range(int(count)) if count else itertools.count():
        run = Run(f"{kernel}-{number}", kernel, "python3", Origin.API, RunStatus.RUNNING)
        history.note(replace(run, run_id=f"{run.run_id}-ended", status=RunStatus.OK))
        history.note(run)
        assert await history.get(run.run_id)
        print(run.run_id, flush=True)
    print("all", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    history.close()


if __name__ == "__main__":
    logging.basicConfig()
    asyncio.run(main(*sys.argv[1:]))
