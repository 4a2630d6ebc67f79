"""A kernel that misbehaves on request: plain pyzmq, its own wire format, up in 50 ms.

    python fake_kernel.py -f CONNECTION_FILE --mode=good

`--mode` takes one mode, or a comma list: the n-th start with the same `--starts` file takes the
n-th of them, the last repeats. `execute_request` understands one command: `wait PATH` (busy until
PATH exists), `nap PATH` (the same, or until an `interrupt_request`), `yield PATH` (a nap that,
interrupted, is answered `abort`, as bash_kernel and IRkernel do), `exec PYTHON`, `block PATH` (only
the heartbeat answers then), `die CODE`, `signal NUMBER`, `flood LINES`, `big BYTES` (1 message),
`error`, those of `ENDS`, and `mark PATH COMMAND` (leaves its pid in PATH before the command and, if
that succeeds, in PATH.end after it); anything else does nothing and succeeds. SIGINT is ignored;
heartbeat and control answer while a command waits.
"""

import argparse
import contextlib
import hashlib
import hmac
import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path

import zmq

MODES = {
    "good": "answers on shell, control and heartbeat, publishes busy and idle with their parent",
    "die-at-start": "ends before it binds, with --code or --signal, once --gate is there",
    "never-binds": "lives, but no socket is ever bound",
    "mute": "binds, never answers anything",
    "no-starting": "good, but sends no `starting`",
    "no-iopub": "answers on shell and control, publishes nothing",
    "garbage": "good, but also sends broken, wrongly signed and senseless messages",
    "deaf": "good, but ignores SIGTERM and shutdown_request",
    "single-loop": "good, but answers nothing at all while a command waits",
    "concurrent": "good, and its shell answers while a command waits",
    "slow": "binds, is good once --gate is there",
    "die-on-gate": "good, ends with --code or --signal once --gate is there",
}


WHILE_BUSY = {"single-loop": [], "concurrent": ["control", "hb", "shell"]}
"""What is answered while a command waits, where it is not control and heartbeat."""

ENDS = {
    "reply-only": ["reply"],
    "idle-only": ["idle"],
    "idle-twice": ["reply", "idle", "idle"],
    "reply-then": ["reply", "gate", "idle"],
    "idle-then": ["idle", "gate", "output", "reply"],
    "output-last": ["reply", "idle", "output"],
    "reply-die": ["reply", "die"],
    "foreign": ["foreign", "output", "reply", "idle"],
    "ask": ["ask", "reply", "idle"],
}
"""What these commands do instead of a reply and an idle; `gate` waits for the argument's path."""


class Wire:
    """The five sockets of a connection file, and signed messages on them."""

    def __init__(self, connection: dict) -> None:
        self.key = connection["key"].encode()
        self.session = uuid.uuid4().hex
        context = zmq.Context()
        kinds = dict.fromkeys(("shell", "control", "stdin"), zmq.ROUTER)
        kinds |= {"hb": zmq.REP, "iopub": zmq.PUB}
        self.sockets = {name: context.socket(kind) for name, kind in kinds.items()}
        for name, socket in self.sockets.items():
            socket.linger = 500
            if connection["transport"] == "tcp":
                socket.bind(f"tcp://{connection['ip']}:{connection[name + '_port']}")
            else:
                socket.bind(f"ipc://{connection['ip']}-{connection[name + '_port']}")

    def sign(self, parts: list[bytes]) -> bytes:
        """The hex digest that the receiver will check."""
        return hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()

    def frames(
        self, msg_type: str, content: object, parent: dict, metadata: object = None
    ) -> list[bytes]:
        """Signature and four parts of a message."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": msg_type,
            "session": self.session,
            "username": "fake",
        }
        header |= {"date": now, "version": "5.3"}
        parts = [json.dumps(part).encode() for part in (header, parent, metadata or {}, content)]
        return [self.sign(parts), *parts]

    def publish(self, msg_type: str, content: object, parent: dict) -> None:
        """Send on iopub."""
        topic = f"kernel.{self.session}.{msg_type}".encode()
        self.sockets["iopub"].send_multipart(
            [topic, b"<IDS|MSG>", *self.frames(msg_type, content, parent)]
        )

    def strange(self, header: bytes) -> None:
        """Publish a well signed message with this header."""
        parts = [header, b"{}", b"{}", b"{}"]
        digest = hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()
        self.sockets["iopub"].send_multipart([b"x", b"<IDS|MSG>", digest, *parts])

    def rubbish(self, channel: str, prefix: list[bytes]) -> None:
        """Send what no kernel should: every message here must change nothing."""
        busy = self.frames(
            "status", {"execution_state": "busy"}, {"msg_id": "x", "msg_type": "execute_request"}
        )
        no_json = [b"\xff\xfe{", b"{}", b"{}", b"{}"]
        no_dict = [b"[1]", b'"x"', b"3", b"null"]
        odd = [
            self.frames("status", content, {})
            for content in ({}, [], {"execution_state": ["busy"]}, {"execution_state": "x"})
        ]
        short = [
            [b""],
            [b"only", b"two"],
            [b"<IDS|MSG>"],
            [b"<IDS|MSG>", b"a", b"b"],
            [os.urandom(40)],
        ]
        wrong = [[b"<IDS|MSG>", b"0" * 64, *busy[1:]], [b"<IDS|MSG>", b"", *busy[1:]]]
        signed = [[b"<IDS|MSG>", self.sign(parts), *parts] for parts in (no_json, no_dict)]
        for frames in short + wrong + signed + [[b"<IDS|MSG>", *message] for message in odd]:
            self.sockets[channel].send_multipart([*prefix, *frames])


class Kernel:
    """Serves one connection file in one mode until it is told to end."""

    def __init__(self, args: argparse.Namespace, mode: str) -> None:
        self.args, self.mode = args, mode
        self.wire = Wire(json.loads(Path(args.f).read_text()))
        self.count = 0
        self.interrupted = False

    def run(self) -> None:
        """Answer for ever."""
        while self.mode == "mute" or (self.mode == "slow" and not Path(self.args.gate).exists()):
            self.serve(["hb"] if self.mode == "slow" else [])
        if self.mode != "no-starting":
            self.say("status", {"execution_state": "starting"}, {})
        while True:
            self.serve(["shell", "control", "hb"])

    def serve(self, channels: list[str]) -> None:
        """Answer at most one message of each channel; looks at the gate every 10 ms."""
        if self.mode == "die-on-gate" and Path(self.args.gate).exists():
            end(self.args)
        poller = zmq.Poller()
        for channel in channels:
            poller.register(self.wire.sockets[channel], zmq.POLLIN)
        if not channels:
            time.sleep(0.01)
        for socket, _ in poller.poll(10) if channels else []:
            if not socket.poll(0):
                continue  # taken meanwhile, while the cell of another channel paused
            if socket is self.wire.sockets["hb"]:
                socket.send_multipart(socket.recv_multipart())
            else:
                self.answer(socket)

    def say(self, msg_type: str, content: object, parent: dict) -> None:
        """Publish, unless this mode does not."""
        if self.mode != "no-iopub":
            self.wire.publish(msg_type, content, parent)
        if self.mode == "garbage":
            self.wire.rubbish("iopub", [b"kernel.x.status"])

    def answer(self, socket: zmq.Socket) -> None:
        """Take one request, publish busy, reply, publish idle."""
        frames = socket.recv_multipart()
        at = frames.index(b"<IDS|MSG>")
        idents, parent, request = (
            frames[:at],
            json.loads(frames[at + 2]),
            json.loads(frames[at + 5]),
        )
        self.say("status", {"execution_state": "busy"}, parent)
        name = parent["msg_type"].removesuffix("_request")
        reply = getattr(self, "do_" + name, lambda *_: {"status": "ok"})(request, parent)
        if self.mode == "garbage" and socket is self.wire.sockets["shell"]:
            self.wire.rubbish("shell", idents)
        command, _, argument = request.get("code", "").partition(" ")
        for step in ENDS.get(command if name == "execute" else "", ["reply", "idle"]):
            if step == "reply":
                self.send(socket, idents, name + "_reply", reply, parent)
            elif step == "idle":
                self.say("status", {"execution_state": "idle"}, parent)
            else:
                getattr(self, "step_" + step)(argument, parent, idents)
        if name == "shutdown" and self.mode != "deaf":
            sys.exit(0)

    def send(
        self, socket: zmq.Socket, idents: list[bytes], msg_type: str, content: dict, parent: dict
    ) -> None:
        """Send a message to whoever has these identities."""
        frames = self.wire.frames(msg_type, content, parent)
        socket.send_multipart([*idents, b"<IDS|MSG>", *frames])

    def step_gate(self, path: str, *_: object) -> None:
        """Wait for a path."""
        self.pause("wait", Path(path))

    def step_output(self, text: str, parent: dict, _: object) -> None:
        """Print the argument."""
        self.say("stream", {"name": "stdout", "text": text}, parent)

    def step_die(self, code: str, *_: object) -> None:
        """Die once all that was sent is on its way."""
        self.wire.sockets["shell"].context.destroy(linger=1000)
        os._exit(int(code or 1))

    def step_foreign(self, _: str, parent: dict, idents: list[bytes]) -> None:
        """Run, fail and end something that nobody has sent."""
        nobody = parent | {"msg_id": uuid.uuid4().hex}
        error = {"status": "error", "ename": "Foreign", "evalue": "foreign", "traceback": []}
        self.say("status", {"execution_state": "busy"}, nobody)
        self.say("stream", {"name": "stdout", "text": "foreign"}, nobody)
        self.say("error", error, nobody)
        self.send(self.wire.sockets["shell"], idents, "execute_reply", error, nobody)
        self.say("status", {"execution_state": "idle"}, nobody)

    def step_ask(self, prompt: str, parent: dict, idents: list[bytes]) -> None:
        """Ask for input, allowed or not, and wait for it."""
        stdin, content = self.wire.sockets["stdin"], {"prompt": prompt, "password": False}
        self.send(stdin, idents, "input_request", content, parent)
        while not stdin.poll(0):
            self.serve(["control", "hb"])
        stdin.recv_multipart()

    def do_interrupt(self, _request: dict, _parent: dict) -> dict:
        """End a nap."""
        self.interrupted = True
        return {"status": "ok"}

    def do_kernel_info(self, _request: dict, _parent: dict) -> dict:
        """Say who we are."""
        language = {"name": "none", "version": "0", "mimetype": "text/plain"}
        language |= {"file_extension": ".txt"}
        told = {"status": "ok", "protocol_version": "5.3", "banner": "", "help_links": []}
        told |= {"implementation": "fake", "implementation_version": "0"}
        return told | {"language_info": language}

    def do_execute(self, request: dict, parent: dict) -> dict:
        """Do the one command of the code, between its marks if it is to leave some."""
        code = request["code"]
        self.count, self.interrupted = self.count + 1, False
        self.say("execute_input", {"code": code, "execution_count": self.count}, parent)
        if not code.startswith("mark "):
            return self.obey(code, parent)
        _, mark, code = code.split(" ", 2)
        leave_pid(mark)
        reply = self.obey(code, parent)
        if reply["status"] == "ok":
            leave_pid(f"{mark}.end")
        return reply

    def obey(self, code: str, parent: dict) -> dict:
        """Do a command and give the content of the reply."""
        command, _, argument = code.partition(" ")
        if command in ("wait", "nap", "yield", "block"):
            self.pause(command, Path(argument))
        if command == "deep":
            self.wire.strange(b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}")
        if command == "die":
            os._exit(int(argument))
        if command == "signal":
            os.kill(os.getpid(), int(argument))
        for line in range(int(argument) if command == "flood" else 0):
            self.say("stream", {"name": "stdout", "text": f"{line}\n"}, parent)
        if command == "big":
            data = {"text/plain": "x" * int(argument)}
            self.say("display_data", {"data": data, "metadata": {}, "transient": {}}, parent)
        return self.outcome(command, argument)

    def outcome(self, command: str, argument: str) -> dict:
        """Say how a command went."""
        if command == "exec":
            exec(argument, {})
        awoken = command == "nap" and self.interrupted
        if command == "error" or awoken:
            name = "KeyboardInterrupt" if awoken else "Wanted"
            error = {"ename": name, "evalue": argument, "traceback": []}
            return {"status": "error", "execution_count": self.count, **error}
        if command == "yield" and self.interrupted:
            return {"status": "abort", "execution_count": self.count}
        return {
            "status": "ok",
            "execution_count": self.count,
            "payload": [],
            "user_expressions": {},
        }

    def pause(self, command: str, path: Path) -> None:
        """Be busy until the path exists; a kernel that blocks only lets its heart beat."""
        channels = ["hb"] if command == "block" else WHILE_BUSY.get(self.mode, ["control", "hb"])
        while not path.exists() and not (command in ("nap", "yield") and self.interrupted):
            self.serve(channels)


def leave_pid(mark: str) -> None:
    """Add our pid to a file."""
    with Path(mark).open("a") as file:
        file.write(f"{os.getpid()}\n")


def end(args: argparse.Namespace) -> None:
    """End this process as the arguments say."""
    if args.last_words:
        print(args.last_words, file=sys.stderr, flush=True)
    if args.signal:
        if args.signal != signal.SIGKILL:
            signal.signal(args.signal, signal.SIG_DFL)
        os.kill(os.getpid(), args.signal)
    os._exit(args.code)


def start_number(starts: str | None) -> int:
    """How many processes with this starts file came before; leaves our pid in it."""
    if starts is None:
        return 0
    with Path(starts).open("a+") as file:
        file.write(f"{os.getpid()}\n")
        file.flush()
        file.seek(0)
        return len(file.readlines()) - 1


def main() -> None:
    """Parse the arguments and be the kernel they ask for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-f", required=True, help="connection file")
    parser.add_argument(
        "--mode", default="good", help="; ".join(f"{mode}: {text}" for mode, text in MODES.items())
    )
    parser.add_argument("--gate", help="a path; what it opens depends on the mode")
    parser.add_argument("--code", type=int, default=1)
    parser.add_argument("--signal", type=int, default=0)
    parser.add_argument("--starts", help="a file that gets one line, our pid, for each start")
    parser.add_argument("--stderr", help="text to leave on stderr at the start")
    parser.add_argument("--last-words", help="text to leave on stderr right before the end")
    args = parser.parse_args()
    modes = args.mode.split(",")
    mode = modes[min(start_number(args.starts), len(modes) - 1)]
    if mode not in MODES:
        parser.error(f"no mode {mode!r}; there are {', '.join(MODES)}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if args.stderr:
        print(args.stderr, file=sys.stderr, flush=True)
    if mode == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while mode == "die-at-start" and args.gate and not Path(args.gate).exists():
        time.sleep(0.01)
    if mode == "die-at-start":
        end(args)
    while mode == "never-binds":
        signal.pause()
    with contextlib.suppress(KeyboardInterrupt):
        Kernel(args, mode).run()


if __name__ == "__main__":
    main()
