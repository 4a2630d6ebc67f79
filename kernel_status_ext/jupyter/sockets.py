"""Opens sockets to a kernel with the options that following it needs."""

from __future__ import annotations

from typing import Any

import zmq

KINDS = {"iopub": zmq.SUB, "shell": zmq.DEALER, "control": zmq.DEALER, "hb": zmq.DEALER}

RECONNECT_EVERY = 10
"""Milliseconds between tries to reach a kernel that has not bound its port yet.

The default, 100, is what a client of ours would learn too late that a kernel is ready.
"""


RECONNECT_PATIENTLY = 1000
"""The same for a kernel that does not come: tries cost processor time on both sides."""


def connect(manager: Any, channel: str, reconnect_every: int = RECONNECT_EVERY) -> zmq.Socket[Any]:
    """Open a socket to a kernel's channel.

    Args:
        manager: The kernel's manager (``ConnectionFileMixin``).
        channel: ``iopub``, ``shell``, ``control`` or ``hb``.
        reconnect_every: Milliseconds between tries.

    Returns:
        A connected socket that loses nothing while it is not read.
    """
    info = manager.get_connection_info()
    # Of the context's own making, so that destroying the context closes it; blocking, whatever
    # the context's sockets are, for the reader drains it without waiting.
    socket: zmq.Socket[Any] = manager.context.socket(KINDS[channel], socket_class=zmq.Socket)
    socket.linger = 0
    # All of these work only before connect.
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.RECONNECT_IVL, reconnect_every)
    if info.get("curve_publickey"):
        # jupyter_client 8.9, ConnectionFileMixin._create_connected_socket: one pair for both.
        socket.curve_secretkey = info["curve_secretkey"].encode()
        socket.curve_publickey = socket.curve_serverkey = info["curve_publickey"].encode()
    if channel == "iopub":
        socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.connect(_url(info, channel))
    return socket


def _url(info: dict[str, Any], channel: str) -> str:
    port = info[f"{channel}_port"]
    if info["transport"] == "tcp":
        return f"tcp://{info['ip']}:{port}"
    return f"{info['transport']}://{info['ip']}-{port}"
