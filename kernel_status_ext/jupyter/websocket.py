"""The mixin over a kernel's websocket connection.

It opens for kernels that answer, says what they do, and closes with the reason when they die.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado import web
from tornado.ioloop import IOLoop
from tornado.websocket import WebSocketClosedError

from .. import views
from ..core.errors import KernelStateTimeout, KernelStateUnreachable
from ..core.model import Kernel
from ..core.targets import read_target
from ..core.words import ExecutionState, Status
from ..tracking.follower import MUTE_AFTER
from ..tracking.tasks import done, first_of, not_before
from .clients import close_text
from .frames import UNREADABLE, fault_of
from .layers import laid_over
from .passing import Passing
from .supervisor import Supervisor

if TYPE_CHECKING:
    # For the type checker the mixins have no base: what they call on super() is dynamic.
    Base = Any
else:
    Base = object

OPEN_FOR = (Status.CONNECTED, Status.UNRESPONSIVE)
"""A frozen kernel may be continued, and somebody may want to interrupt it."""

REFUSED_AFTER = 0.2
"""Seconds from its beginning after which an upgrade is refused at the earliest.

JupyterLab 4.6, SessionContext._changeKernel opens the websocket and listens to its fate only after
two more requests: of eight refusals without delay it showed two, after 0.05 s all.
"""

TOLD = (ExecutionState.STARTING, ExecutionState.IDLE, ExecutionState.BUSY)
"""What a kernel does that clients understand in an iopub ``status``; another word breaks them."""

V1 = "v1.kernel.websocket.jupyter.org"

UNSUPPORTED = 1003
"""The close code for what cannot be accepted (RFC 6455, section 7.4.1)."""

FAULT = 200
"""Characters of what is wrong with a message that are told: it may quote the message."""

CONTENT = 3
"""Where the content is in the parts of a message that was not deserialized."""


class TellingConnection(Base):
    """Over the class of the connection between a websocket and a kernel."""

    kernel_status: Supervisor
    channels: Any
    waits_for_iopub = False
    """Whether the kernel has come back and nothing was heard of its new process yet."""
    __connected = False
    __restored = False
    __nudging: asyncio.Future[None] | None = None

    # -- before the upgrade --------------------------------------------------------------

    async def prepare(self) -> None:
        """Wait for the kernel to answer; refuse before the upgrade if it is dead or does not."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.prepare holds the upgrade for 60 s
        # and then lets it through to nobody.
        if not self.kernel_status.knows(self.kernel_id):
            await super().prepare()
            return
        soon = asyncio.get_running_loop().time() + REFUSED_AFTER
        try:
            await self.__until(OPEN_FOR, self.multi_kernel_manager.kernel_info_timeout)
            self.__spare_the_question()
            self.__take_over()
            await self.__prepare_unless_dead()
        except (KernelStateTimeout, KernelStateUnreachable) as error:
            await not_before(soon)
            told = f"Kernel {self.kernel_id} is {error.kernel.status}, so no websocket opens"
            self.__refuse(f"{told}: {error.reason}" if error.reason else told, error.reason)

    async def __until(self, status: tuple[Status, ...], limit: float | None) -> Kernel:
        target = read_target(status=status)
        return await self.kernel_status.tracker.wait(self.kernel_id, target, limit)

    def __spare_the_question(self) -> None:
        """Answer what the upstream method would ask: a kernel that is busy would not."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.request_kernel_info looks for it.
        charge = self.kernel_status.charge(self.kernel_id)
        if charge is not None and charge.protocol:
            answer: Future[dict[str, str]] = Future()
            answer.set_result({"protocol_version": charge.protocol})
            self.kernel_manager._kernel_info_future = answer

    def __take_over(self) -> None:
        """Get the channels of a connection of the same session that was lost unnoticed."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection._register_session only asks the
        # other to close; its sockets would still hold the identity that ours need.
        lost = self._open_sessions.get(f"{self.kernel_id}:{self.session.session}")
        if lost is not None and isinstance(lost.connection, TellingConnection):
            lost.connection.give_way()

    def give_way(self) -> None:
        """Leave the channels, and what comes by them meanwhile, to a connection like this."""
        channels = self.channels
        self.channels = {}
        self.disconnect()
        self.multi_kernel_manager.start_buffering(self.kernel_id, self.session_key, channels)
        self.websocket_handler.close()

    async def __prepare_unless_dead(self) -> None:
        kernel = await first_of(super().prepare(), self.__until((Status.DEAD,), None))
        if self.websocket_handler.connection is not self:
            # The client hung up meanwhile, and on_close has been here.
            self.__unregister()
            raise web.Finish
        if kernel is not None:
            self.__unregister()
            target = read_target(status=OPEN_FOR)
            raise KernelStateUnreachable(kernel, target, kernel.reason)

    def __unregister(self) -> None:
        """Take back what ``_register_session`` has noted."""
        if self._open_sessions.get(self.session_key) is self.websocket_handler:
            del self._open_sessions[self.session_key]

    def __refuse(self, message: str, reason: str) -> NoReturn:
        handler = self.websocket_handler
        handler.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
        handler.set_header("Content-Type", "application/json")
        raise web.Finish(json.dumps(views.error(message, reason)))

    # -- while it is open ----------------------------------------------------------------

    def connect(self) -> Any:
        """Connect, and tell the client at once what the kernel does."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.connect
        self.websocket_handler.set_nodelay(True)
        self.__connected = True
        self.__held: list[Any] = []
        self.__passing = Passing(
            self.kernel_status.runs,
            self.kernel_id,
            getattr(self.websocket_handler.current_user, "username", None),
            self.log,
        )
        self.__ports = list(self.kernel_manager.ports)
        buffered = self.kernel_id in self.multi_kernel_manager._kernel_buffers
        self.__restored = self.__finds_its_buffer()
        self.__nudging = connected = super().connect()
        if connected is None:
            return None
        if buffered:
            # What was buffered is replayed when this is done, and its statuses are old.
            connected.add_done_callback(lambda _: self.__tell_present())
        kernel = self.kernel_status.clients.opened(self.kernel_id, self)
        # Who waits for a frozen kernel would not notice that its client is gone.
        return done() if kernel and kernel.status is Status.UNRESPONSIVE else connected

    def __finds_its_buffer(self) -> bool:
        """Tell whether channels are kept for this session that listen to the present process."""
        # jupyter_server 2.21, MappingKernelManager.start_buffering
        kept = self.multi_kernel_manager._kernel_buffers.get(self.kernel_id, {})
        mine = kept.get("session_key") == self.session_key
        return mine and self.kernel_status.still_buffered(self.kernel_id)

    def nudge(self) -> Any:
        """Nudge, but not by channels that listen already: the nudge would eat a message."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.nudge
        return done() if self.__restored else super().nudge()

    def __nudge_no_more(self) -> None:
        """Stop asking for signs of life; tornado does not tell of the end of what still opens."""
        if self.__nudging is not None:
            self.__nudging.cancel()
            self.__nudging = None

    def disconnect(self) -> Any:
        """Disconnect, once; what never connected is not counted down."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.disconnect
        self.kernel_status.clients.closed(self.kernel_id, self)
        if not self.__connected:
            self.__unregister()
            return None
        self.__connected = False
        self.__nudge_no_more()
        self.__passing.over()
        answer = super().disconnect()
        # They are closed or a buffer's by now: what nudged must not listen to them any more.
        self.channels = {}
        return answer

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Hand a message on; the first from a new process shows that we hear it."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.handle_outgoing_message
        self.__passing.from_kernel(getattr(stream, "channel", stream), outgoing_msg)
        try:
            super().handle_outgoing_message(stream, outgoing_msg)
        except UNREADABLE as error:
            # Raised on, it would end what flushes the stream: the word that the kernel has died.
            told = "Kernel %s: a message of it cannot be read and is not handed on (%s: %s)"
            self.log.warning(told, self.kernel_id, type(error).__name__, error)
            return
        if self.waits_for_iopub and getattr(stream, "channel", stream) == "iopub":
            self.__iopub_heard()

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Hand a message to the kernel; one that is none of the protocol closes the websocket."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.handle_incoming_message: without a
        # subprotocol any more it would take a message of v1 for one of the old protocol, and read
        # a length from it that takes seconds.
        if self.websocket_handler.ws_connection is None:
            return
        fault = fault_of(incoming_msg, v1=self.subprotocol == V1)
        if fault is not None:
            self.__turn_down(fault)
        elif self.waits_for_iopub:
            # Its output would be published to nobody.
            self.__held.append(incoming_msg)
        else:
            self.__hand_over(incoming_msg)

    def __hand_over(self, incoming_msg: Any) -> None:
        allowed = self.multi_kernel_manager.allowed_message_types
        try:
            super().handle_incoming_message(incoming_msg)
        except UNREADABLE as error:
            # It was not sent.
            self.__turn_down(f"{type(error).__name__}: {error}")
            return
        self.__passing.to_kernel(incoming_msg, allowed, v1=self.subprotocol == V1)

    def __turn_down(self, fault: str) -> None:
        """Close the websocket of a client that does not speak the protocol (RFC 6455, 7.4.1)."""
        told = f"This is no message of the kernel protocol: {fault[:FAULT]}"
        self.log.warning(
            "Kernel %s: a websocket is closed for what it sent. %s", self.kernel_id, told
        )
        self.websocket_handler.close(UNSUPPORTED, close_text(told))

    def __tell_present(self) -> None:
        kernel = self.kernel_status.tracker.get(self.kernel_id)
        if kernel is not None and self.__connected:
            self.tell_state(kernel)

    def await_iopub(self) -> None:
        """Tell the state as soon as something is heard of the kernel's new process."""
        self.__deliver_what_came()
        self.waits_for_iopub = True
        IOLoop.current().call_later(MUTE_AFTER, self.__iopub_heard)

    def __iopub_heard(self) -> None:
        if self.waits_for_iopub:
            self.waits_for_iopub = False
            self.__tell_present()
            held, self.__held = self.__held, []
            for message in held:
                self.handle_incoming_message(message)

    @property
    def has_moved(self) -> bool:
        """Whether the kernel has other addresses than those that are listened to."""
        ports: list[int] = list(self.kernel_manager.ports)
        return ports != self.__ports

    def tell_state(self, kernel: Kernel) -> None:
        """Say what the kernel does, in a message that is about no request."""
        if kernel.execution_state in TOLD:
            self.__say_status({"execution_state": kernel.execution_state.value})

    def end(self, code: int, text: str) -> None:
        """Close the websocket: the kernel has ended."""
        self.__deliver_what_came()
        self.__nudge_no_more()
        self.websocket_handler.close(code, text)

    def on_kernel_restarted(self) -> None:
        """Say that the kernel is restarted by the restarter, and why."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.on_kernel_restarted
        kernel = self.kernel_status.tracker.get(self.kernel_id)
        told = {"reason": kernel.reason, "cause": kernel.cause} if kernel else {}
        self.__say_status({"execution_state": "restarting", **told})

    def on_restart_failed(self) -> None:
        """Say nothing: who reads "dead" on iopub asks no more; closing has everybody ask why."""
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection.on_restart_failed
        if not self.kernel_status.knows(self.kernel_id):
            super().on_restart_failed()

    def __say_status(self, content: dict[str, Any]) -> None:
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection._send_status_message
        self.__deliver_what_came()
        message = self.session.msg("status", content)
        v1 = self.subprotocol == V1
        if v1:
            wire = serialize_msg_to_ws_v1(message, "iopub", self.session.pack)
        else:
            wire = self.session.pack({**message, "channel": "iopub"}).decode()
        try:
            self.write_message(wire, binary=v1)
        except WebSocketClosedError:
            self.log.debug("Kernel %s: a websocket closed before its status", self.kernel_id)

    def __deliver_what_came(self) -> None:
        iopub = self.channels.get("iopub")
        if iopub is not None and not iopub.closed():
            iopub.flush()

    # -- what may not be seen ------------------------------------------------------------

    def _on_error(self, channel: str, msg: dict[str, Any], msg_list: list[Any]) -> None:
        # jupyter_server 2.21, ZMQChannelsWebsocketConnection._on_error looks for the replacement
        # where it is not, and leaves the replies as they are.
        if self.multi_kernel_manager.allow_tracebacks:
            return
        kind = self.get_part("header", msg["header"], msg_list)["msg_type"]
        if kind != "error" and not kind.endswith("_reply"):
            return
        content = self.get_part("content", msg["content"], msg_list)
        replacement = self.multi_kernel_manager.traceback_replacement_message
        failed = [content] if kind == "error" else _failures(content)
        for each in failed:
            each |= {"ename": "ExecutionError", "evalue": "Execution error"}
            each["traceback"] = [replacement]
        if failed:
            msg["content"] = content
            msg_list[CONTENT] = self.session.pack(content)


def _failures(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """Find what failed in a reply: the request, or expressions that came with it."""
    expressions = reply.get("user_expressions")
    answers = [reply, *(expressions.values() if isinstance(expressions, dict) else ())]
    return [each for each in answers if isinstance(each, dict) and each.get("status") == "error"]


def telling_connection_class(base: Any, supervisor: Supervisor) -> Any:
    """Lay the mixin over a connection class; those to a gateway do not prepare anything.

    Args:
        base: The configured class.
        supervisor: Knows the kernels.

    Returns:
        The class to use.
    """
    if not issubclass(base, ZMQChannelsWebsocketConnection):
        return base
    return laid_over(base, TellingConnection, {"kernel_status": supervisor})
