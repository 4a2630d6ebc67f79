"""An authorizer for a server under test: each request says itself what it is not allowed to do."""

from jupyter_server.auth import Authorizer

HEADER = "X-Deny"


class DenyByHeader(Authorizer):
    """Denies `ACTION:RESOURCE` of the header `X-Deny`, allows all else."""

    def is_authorized(self, handler, user, action, resource):
        """Tell whether the request may."""
        return handler.request.headers.get(HEADER) != f"{action}:{resource}"
