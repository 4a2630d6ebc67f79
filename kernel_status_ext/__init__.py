"""What a Jupyter kernel really does, why it died, and a call that waits for it."""

from __future__ import annotations

from typing import Any

from ._version import __version__
from .core.errors import KernelStateTimeout, KernelStateUnreachable

__all__ = ["KernelStateTimeout", "KernelStateUnreachable", "__version__"]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell Jupyter Server where the extension is."""
    # Imported here so that the client, which needs no server, can be imported without one.
    from .app import KernelStatusApp  # noqa: PLC0415

    return [{"module": "kernel_status_ext", "app": KernelStatusApp}]
