"""A local TCP port whose connections are taken and held, until they are let through to another.

held = HeldPort(behind)     # connections to held.port wait
held.release()              # those and all later ones go on to the port behind
"""

from __future__ import annotations

import contextlib
import socket
import threading

PIECE = 65536


class HeldPort:
    """Listens in a thread of its own.

    Args:
        behind: The port on this machine that connections go on to.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._released = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def release(self) -> None:
        """Let everything through from now on."""
        self._released.set()

    def close(self) -> None:
        """Take no more connections."""
        self.release()
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(taken,), daemon=True).start()

    def _pass_on(self, taken: socket.socket) -> None:
        self._released.wait()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._behind)) as on,
        ):
            back = threading.Thread(target=_pump, args=(on, taken), daemon=True)
            back.start()
            _pump(taken, on)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
