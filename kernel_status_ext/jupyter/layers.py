"""How our mixins are laid over the classes that a server is configured with."""

from __future__ import annotations

from typing import Any


def laid_over(base: Any, mixin: type, members: dict[str, Any]) -> Any:
    """Lay a mixin over a class, also over one that another server of this process has got already.

    The name stays: traitlets finds the user's configuration by it, and jupyter_server compares it.

    Args:
        base: The configured class.
        mixin: What is laid over it.
        members: What the new class holds beside.

    Returns:
        The class to use.
    """
    # A server that came before in this process may have left its own class as the default.
    configured = vars(base).get("kernel_status_over", base)
    bases = (configured,) if issubclass(configured, mixin) else (mixin, configured)
    over = {"kernel_status_over": configured, "__module__": configured.__module__}
    return type(configured.__name__, bases, {**over, **members})
