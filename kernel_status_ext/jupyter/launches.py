"""The only place that changes how kernels are launched, so that their last words are heard."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from logging import Logger
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from ..core import last_words
from ..core.remains import Remains
from ..tracking.stderr import Drain, Pipe
from .charge import Manager, Settings

TRACE_CRASHES = (
    "__import__('faulthandler').enable("
    "file=getattr(__import__('sys').stderr, '_original_stdstream_copy', 2), all_threads=False)"
)
"""Has Python write its stack when native code crashes, past ipykernel's own pipe to our stderr."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch of one kernel's process."""

    command: list[str]
    folders: tuple[str, ...] = ()
    """Where it looks for modules before anywhere else."""
    path: str | None = None
    """Its PATH."""
    pipe: Pipe | None = None
    """Its stderr, where it is captured."""

    def examine(self, remains: Remains, *, instead: str | None) -> Remains:
        """Add what it left on stderr to what was found of its process.

        Args:
            remains: What was found.
            instead: What is shown instead of stderr where tracebacks are not allowed.

        Returns:
            All of it.
        """
        stderr = self.pipe.last_words() if self.pipe else ""
        program = self.command[0]
        return replace(
            remains,
            stderr=stderr,
            instead=instead,
            captured=self.pipe is not None,
            command=shutil.which(program, path=self.path) or program,
            hiding=self._hiding(last_words.suspect(stderr)),
        )

    def _hiding(self, module: str | None) -> str | None:
        """Find the file of the user's that hides a module."""
        if module is None:
            return None
        files = (f"{module}.py", f"{module}/__init__.py")
        paths = [Path(folder, file) for folder in self.folders for file in files]
        return next((str(path) for path in paths if path.is_file()), None)


class Launches:
    """Prepares the launches of all kernels."""

    def __init__(self, settings: Settings, log: Logger) -> None:
        """Begin.

        Args:
            settings: The administrator's.
            log: The server's log.
        """
        self._settings = settings
        self._log = log
        self._drain = Drain(settings.stderr_tail)

    def prepare(self, manager: Manager, command: list[str], kwargs: dict[str, Any]) -> Launch:
        """Change the arguments of a launch that is about to be made.

        Args:
            manager: The kernel's manager.
            command: The command; it may be added to.
            kwargs: What its provisioner gets; ``stderr`` may be set.

        Returns:
            The launch; its pipe wants to be told when it is handed over.
        """
        if not isinstance(manager.provisioner, LocalProvisioner):
            return Launch(list(command))
        if self._settings.crash_traces:
            _trace_crashes(command)
        env = kwargs.get("env") or os.environ
        folders = (kwargs.get("cwd") or str(Path.cwd()), *_paths(env.get("PYTHONPATH", "")))
        pipe = self._open_pipe(manager) if _takes_stderr(manager, kwargs) else None
        if pipe is not None:
            kwargs["stderr"] = pipe.writing
        return Launch(list(command), folders, env.get("PATH"), pipe)

    def _open_pipe(self, manager: Manager) -> Pipe | None:
        if not self._settings.capture_stderr or not self._settings.stderr_tail:
            return None
        try:
            return self._drain.open()
        except OSError as error:
            name = manager.kernel_status_id
            self._log.warning("Kernel %s: its stderr is not captured (%s)", name, error)
            return None


def _takes_stderr(manager: Manager, kwargs: dict[str, Any]) -> bool:
    """Tell whether nobody else decides where stderr goes: it can be said only once."""
    # jupyter_client 8.10, LocalProvisioner.launch_kernel
    own = type(manager.provisioner).launch_kernel is not LocalProvisioner.launch_kernel
    return "stderr" not in kwargs and not own


def _paths(value: str) -> list[str]:
    return [each for each in value.split(os.pathsep) if each]


def _trace_crashes(command: list[str]) -> None:
    """Have an ipykernel trace crashes; its startup files and exec_lines stay as they are."""
    if not any("ipykernel" in argument for argument in command):
        return
    # On the command line, exec_lines would take the place of those in the user's configuration;
    # code_to_run is hardly ever configured, and IPython runs it after them.
    taken = any("code_to_run" in argument for argument in command)
    trait = "exec_lines" if taken else "code_to_run"
    command.append(f"--IPKernelApp.{trait}={TRACE_CRASHES}")
