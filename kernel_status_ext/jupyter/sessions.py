"""The mixin over the session manager: the session of a dead kernel starts it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado import web

from ..core.words import Status
from .charge import listing, many
from .layers import laid_over

if TYPE_CHECKING:
    # For the type checker the mixins have no base: what they call on super() is dynamic.
    Base = Any
else:
    Base = object


class ReviveSessions(Base):
    """Over the session manager: asking for the session of a dead kernel starts it again."""

    async def row_to_model(self, *args: Any, **kwargs: Any) -> Any:
        """Make a session's model; what only a kernel's own model has is not in it."""
        # jupyter_server 2.21, SessionManager.row_to_model
        if not listing():
            await self.kernel_manager.kernel_status.remotes.look()
        with many():
            return await super().row_to_model(*args, **kwargs)

    async def list_sessions(self) -> Any:
        """List all sessions, after one look at the kernels that run elsewhere."""
        # jupyter_server 2.21, SessionManager.list_sessions
        await self.kernel_manager.kernel_status.remotes.look()
        with many():
            return await super().list_sessions()

    async def session_exists(self, path: str) -> bool:
        """Tell whether a path has a session; ``POST /api/sessions`` asks it, and nobody else."""
        # jupyter_server 2.21, SessionManager.session_exists
        exists: bool = await super().session_exists(path)
        if exists:
            session = await self.get_session(path=path)
            kernel = session["kernel"]
            if kernel.get("status") == Status.DEAD:
                return await self.__revived(kernel["id"])
        return exists

    async def __revived(self, kernel_id: str) -> bool:
        """Start a dead kernel again, and tell whether it is still there: it may be removed now."""
        try:
            await self.kernel_manager.restart_kernel(kernel_id)
        except web.HTTPError:
            if kernel_id in self.kernel_manager:
                raise
            return False
        return True


def revived_session_class(base: Any) -> Any:
    """Lay the mixin over a session manager class."""
    return laid_over(base, ReviveSessions, {})
