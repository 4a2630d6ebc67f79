"""An extension for a server under test: tells an option of the server's own TCP sockets.

GET probe/nodelay?port=N -> {"nodelay": true} for the connection from the client's port N
"""

import json
import socket

import psutil
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web


def option_of(port):
    """`TCP_NODELAY` of the connection from this port, asked from the system."""
    for connection in psutil.Process().net_connections("tcp4"):
        if connection.raddr and connection.raddr.port == port:
            with socket.fromfd(connection.fd, socket.AF_INET, socket.SOCK_STREAM) as again:
                return bool(again.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    raise web.HTTPError(404, f"no connection from port {port}")


class NodelayHandler(APIHandler):
    """Answers for one connection."""

    _track_activity = False

    @web.authenticated
    def get(self):
        """Look the connection up by the port of its other end."""
        self.finish(json.dumps({"nodelay": option_of(int(self.get_argument("port")))}))


def _jupyter_server_extension_points():
    return [{"module": "socket_probe"}]


def _load_jupyter_server_extension(serverapp):
    route = url_path_join(serverapp.web_app.settings["base_url"], "probe/nodelay")
    serverapp.web_app.add_handlers(".*$", [(route, NodelayHandler)])
