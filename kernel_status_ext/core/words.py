"""The words of the contract, and which of them can hold together."""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """A closed list of words that travel as plain strings."""

    def __str__(self) -> str:
        """Read like the string that travels, also on Python 3.10."""
        return str(self.value)


class Status(Word):
    """The life of a kernel's process, as far as this server knows it."""

    UNKNOWN = "unknown"
    STARTING = "starting"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNRESPONSIVE = "unresponsive"
    RESTARTING = "restarting"
    AUTORESTARTING = "autorestarting"
    TERMINATING = "terminating"
    DEAD = "dead"


class ExecutionState(Word):
    """What a kernel's shells do, from iopub, in the stock meaning."""

    UNKNOWN = "unknown"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DEAD = "dead"


class State(Word):
    """One word for people and dashboards."""

    RUNNING = "running"
    IDLE = "idle"
    STOPPED = "stopped"


class RunStatus(Word):
    """How far a run is, or how it ended."""

    QUEUED = "queued"
    RUNNING = "running"
    OK = "ok"
    ERROR = "error"
    ABORTED = "aborted"
    DIED = "died"
    LOST = "lost"


class Cause(Word):
    """Why a kernel died or does not come, for programs; clients must expect it to grow."""

    KERNELSPEC_NOT_FOUND = "KernelspecNotFound"
    EXECUTABLE_NOT_FOUND = "ExecutableNotFound"
    PERMISSION_DENIED = "PermissionDenied"
    LAUNCH_FAILED = "LaunchFailed"
    PROVISIONER_FAILED = "ProvisionerFailed"
    INVALID_KERNELSPEC = "InvalidKernelspec"
    MODULE_NOT_FOUND = "ModuleNotFound"
    IMPORT_ERROR = "ImportError"
    SHADOWED_MODULE = "ShadowedModule"
    ADDRESS_IN_USE = "AddressInUse"
    START_FAILED = "StartFailed"
    START_TIMEOUT = "StartTimeout"
    EXITED = "Exited"
    ERROR = "Error"
    OOM_KILLED = "OOMKilled"
    KILLED = "Killed"
    SEGMENTATION_FAULT = "SegmentationFault"
    ABORTED = "Aborted"
    BUS_ERROR = "BusError"
    ILLEGAL_INSTRUCTION = "IllegalInstruction"
    FLOATING_POINT_EXCEPTION = "FloatingPointException"
    TERMINATED = "Terminated"
    INTERRUPTED = "Interrupted"
    CPU_LIMIT_EXCEEDED = "CpuLimitExceeded"
    SIGNALED = "Signaled"
    SHUTDOWN = "Shutdown"
    RESTARTED = "Restarted"
    CULLED = "Culled"
    SERVER_STOPPED = "ServerStopped"
    CRASH_LOOP = "CrashLoop"
    LOST = "Lost"
    REMOTE = "Remote"
    REPLACED = "Replaced"
    UNRESPONSIVE = "Unresponsive"
    INTERPRETER_BLOCKED = "InterpreterBlocked"


class RequestedBy(Word):
    """Who asked for the end of a process."""

    SHUTDOWN = "shutdown"
    RESTART = "restart"
    CULL = "cull"
    SERVER_STOP = "server stop"


_LAST_KNOWN = {
    ExecutionState.STARTING: {State.STOPPED},
    ExecutionState.IDLE: {State.STOPPED},
    ExecutionState.BUSY: {State.STOPPED},
    ExecutionState.UNKNOWN: {State.STOPPED},
}

# Section 1 of the contract as a table: what may stand beside each status.
BESIDE: dict[Status, dict[ExecutionState, set[State]]] = {
    Status.UNKNOWN: {ExecutionState.UNKNOWN: {State.STOPPED}},
    Status.STARTING: {ExecutionState.STARTING: {State.STOPPED}},
    Status.CONNECTING: {ExecutionState.STARTING: {State.STOPPED}},
    Status.CONNECTED: {
        ExecutionState.IDLE: {State.IDLE, State.RUNNING},
        ExecutionState.BUSY: {State.RUNNING},
    },
    Status.UNRESPONSIVE: {
        ExecutionState.IDLE: {State.STOPPED, State.RUNNING},
        ExecutionState.BUSY: {State.RUNNING},
    },
    Status.RESTARTING: {ExecutionState.STARTING: {State.STOPPED}},
    Status.AUTORESTARTING: {ExecutionState.STARTING: {State.STOPPED}},
    Status.TERMINATING: _LAST_KNOWN,
    Status.DEAD: {ExecutionState.DEAD: {State.STOPPED}},
}


def one_word(status: Status, execution_state: ExecutionState, *, queued: bool = False) -> State:
    """Say what a kernel does in one word.

    Args:
        status: The life of its process.
        execution_state: What its shells do.
        queued: Whether something waits for its shells.

    >>> one_word(Status.CONNECTED, ExecutionState.BUSY).value
    'running'
    """
    if status in (Status.CONNECTED, Status.UNRESPONSIVE):
        if queued or execution_state is ExecutionState.BUSY:
            return State.RUNNING
        if status is Status.CONNECTED:
            return State.IDLE
    return State.STOPPED
