"""What Jupyter raises when a kernel cannot be launched, told as cause and sentence."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from typing import Any

from jupyter_client.kernelspec import NoSuchKernel
from tornado import web
from traitlets import TraitError

from ..core.causes import explain_launch
from ..core.errors import KernelLaunchError
from ..core.words import Cause


class KernelStartFailed(web.HTTPError, KernelLaunchError):
    """A kernel could not be launched; answered as JSON by Jupyter's own handlers."""

    def __init__(self, cause: Cause, sentence: str, status_code: int = 500) -> None:
        """Carry the cause and the sentence."""
        super().__init__(status_code, sentence, reason=cause.value)
        self.cause = cause
        self.sentence = sentence

    def __str__(self) -> str:
        """Return the sentence: ``POST /api/sessions`` answers with ``str(error)``."""
        return self.sentence


def explain(manager: Any, error: BaseException) -> tuple[Cause, str]:
    """Tell why a launch failed.

    Args:
        manager: The kernel's manager.
        error: What its ``start_kernel`` or ``restart_kernel`` raised.

    Returns:
        The cause and one sentence for people.
    """
    if isinstance(error, KernelStartFailed):
        return error.cause, error.sentence
    cause = _cause(manager, error)
    detail = " ".join(str(error).split()) or type(error).__name__
    return cause, explain_launch(cause, manager.kernel_name, detail, getattr(error, "errno", None))


def _cause(manager: Any, error: BaseException) -> Cause:
    if isinstance(error, NoSuchKernel):
        return Cause.KERNELSPEC_NOT_FOUND
    if not _is_usable(manager):
        return Cause.INVALID_KERNELSPEC
    # jupyter_client 8.10, KernelManager._async_pre_start_kernel makes the provisioner, and its
    # factory raises ModuleNotFoundError for one that is not registered.
    if manager.provisioner is None:
        missing = isinstance(error, ModuleNotFoundError)
        return Cause.PROVISIONER_FAILED if missing else Cause.LAUNCH_FAILED
    module = type(manager.provisioner).__module__
    if module != "jupyter_client.provisioning.local_provisioner":
        return Cause.PROVISIONER_FAILED
    about_command = isinstance(error, OSError) and _is_about_command(manager, error)
    return _CAUSES.get(type(error), Cause.LAUNCH_FAILED) if about_command else Cause.LAUNCH_FAILED


def _is_usable(manager: Any) -> bool:
    """Tell whether a kernelspec can be read and has a command."""
    try:
        argv = manager.kernel_spec_manager.get_kernel_spec(manager.kernel_name).argv
    except (AttributeError, TraitError, TypeError, ValueError):
        # What jupyter_client 8.10, KernelSpec.from_resource_dir, makes of a broken kernel.json.
        return False
    except NoSuchKernel:
        return True
    return bool(argv) and all(isinstance(each, str) for each in argv)


def _is_about_command(manager: Any, error: OSError) -> bool:
    """Tell whether it is the command that is missing or may not be run.

    A missing working or runtime folder raises the same exceptions. Popen names the program, and
    a script that is there also where the interpreter of its first line is missing.
    """
    program = manager.kernel_spec.argv[0]
    named = error.filename in (program, os.path.expanduser(program), sys.executable)  # noqa: PTH111
    is_there = isinstance(error, FileNotFoundError) and shutil.which(str(error.filename))
    return named and not is_there


_CAUSES: dict[type[BaseException], Cause] = {
    FileNotFoundError: Cause.EXECUTABLE_NOT_FOUND,
    PermissionError: Cause.PERMISSION_DENIED,
}


def as_http(manager: Any, error: BaseException) -> web.HTTPError:
    """Make the error that Jupyter's handlers answer with the sentence.

    Args:
        manager: The kernel's manager.
        error: What its launch raised.

    Returns:
        The error to raise instead; the same if it is one that handlers answer already.
    """
    if isinstance(error, web.HTTPError):
        return error
    cause, sentence = explain(manager, error)
    # jupyter_server 2.21: /api/sessions answers 501 for what is a NoSuchKernel, whatever its code.
    code = 404 if cause is Cause.KERNELSPEC_NOT_FOUND else 500
    upstream: Any = type(error)
    kind = _also(upstream)
    failed = kind.__new__(kind, *error.args)
    vars(failed).update(vars(error))
    KernelStartFailed.__init__(failed, cause, sentence, code)
    return failed


@functools.cache
def _also(upstream: Any) -> type[KernelStartFailed]:
    """Make the class that is also of the one that upstream raises: callers in the server catch it.

    Args:
        upstream: The class of what the launch raised.

    Returns:
        The class; ``KernelStartFailed`` itself where the two cannot be one.
    """
    try:
        return type("KernelStartFailed", (KernelStartFailed, upstream), {})
    except TypeError:
        return KernelStartFailed
