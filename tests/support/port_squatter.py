"""Start a kernel whose shell port somebody else has taken, and keeps for as long as he lives.

    python port_squatter.py STARTS_FILE HOW_MANY CONNECTION_FILE COMMAND...

For the first HOW_MANY starts with this STARTS_FILE, which gets one line, our pid, for each, a
process of another session binds the port first. Then this process becomes COMMAND.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path


def squat(connection_file: str) -> None:
    """Bind the shell port in a process that outlives this one; return once it is bound."""
    connection = json.loads(Path(connection_file).read_text())
    holder = socket.socket()
    holder.bind((connection["ip"], connection["shell_port"]))
    holder.listen()
    if os.fork() == 0:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        while True:
            signal.pause()


def main() -> None:
    """Take the port if it is our turn, then be the kernel."""
    starts, how_many, connection_file, *command = sys.argv[1:]
    with Path(starts).open("a+") as file:
        file.write(f"{os.getpid()}\n")
        file.flush()
        file.seek(0)
        number = len(file.readlines())
    if number <= int(how_many):
        squat(connection_file)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
