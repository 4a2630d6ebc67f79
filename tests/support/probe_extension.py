"""An extension for a server under test: makes the calls of Python code there, on request.

POST probe {"call": "wait_for_state", "with": {"kernel_id": ..., "on": "mapping" | "kernel"}}
"""

import asyncio
import inspect
import json
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web


class ProbeHandler(APIHandler):
    """Makes one call and tells its result or its exception."""

    _track_activity = False

    @web.authenticated
    async def post(self):
        """Run the call that the body names."""
        body = self.get_json_body()
        try:
            result = await getattr(self, "do_" + body["call"])(**body.get("with", {}))
        except Exception as error:  # noqa: BLE001 - the exception is what the test wants to see
            names = [each.__name__ for each in type(error).__mro__]
            result = {
                "error": names,
                "reason": getattr(error, "reason", None),
                "message": str(error),
            }
        self.finish(json.dumps(result))

    async def do_wait_for_state(self, kernel_id, on, **arguments):
        """`wait_for_state` of the mapping manager or of the kernel's own."""
        if on == "mapping":
            state = await self.kernel_manager.wait_for_state(kernel_id, **arguments)
        else:
            state = await self.kernel_manager.get_kernel(kernel_id).wait_for_state(**arguments)
        return {
            word: getattr(state, word) for word in ("status", "execution_state", "state", "reason")
        }

    async def do_note_end(self, kernel_id, path):
        """Leave in a file how the kernel ended, also when that is with the server."""

        async def note() -> None:
            state = await self.kernel_manager.wait_for_state(kernel_id, status="dead", timeout=60)
            told = json.dumps({"status": state.status, "cause": state.cause})
            await asyncio.to_thread(Path(path).write_text, told)

        self.settings.setdefault("notes", []).append(asyncio.ensure_future(note()))
        return {}

    async def do_traits(self, kernel_id):
        """The words on the kernel's own manager, and what `ready` gives."""
        kernel = self.kernel_manager.get_kernel(kernel_id)
        ready = kernel.ready
        ready = asyncio.wrap_future(ready) if not asyncio.isfuture(ready) else ready
        await asyncio.wait_for(ready, 10)
        return {
            "status": kernel.status,
            "execution_state": kernel.execution_state,
            "reason": kernel.reason,
        }

    async def do_imports(self):
        """The exceptions that callers import."""
        from kernel_status_ext import KernelStateTimeout, KernelStateUnreachable  # noqa: PLC0415

        return {
            "timeout": issubclass(KernelStateTimeout, TimeoutError),
            "unreachable": issubclass(KernelStateUnreachable, Exception),
        }

    async def do_tracker(self):
        """Whether other extensions find the tracker."""
        return {"there": self.settings.get("kernel_status") is not None}

    async def do_cull(self, kernel_id):
        """What core does to a kernel every `cull_interval` when `cull_idle_timeout` is set."""
        await self.kernel_manager.cull_kernel_if_idle(kernel_id)
        return {}

    async def do_delete(self, kernel_id, meanwhile):
        """Remove a kernel; its process dies while that works, and then something starts it."""
        kernel = self.kernel_manager.get_kernel(kernel_id)
        process = kernel.provisioner.process
        removal = asyncio.ensure_future(self.kernel_manager.shutdown_kernel(kernel_id))
        while not kernel.shutting_down:  # noqa: ASYNC110  Jupyter tells nobody
            await asyncio.sleep(0)
        process.kill()
        process.wait()
        acts = {
            "restarter": kernel._restarter.poll,
            "restart": kernel.restart_kernel,
            "restart by id": lambda: self.kernel_manager.restart_kernel(kernel_id),
        }
        started = asyncio.ensure_future(acts[meanwhile]())
        _, error = await asyncio.gather(removal, started, return_exceptions=True)
        return {"refused": str(error or "")}

    async def do_overtake(self, kernel_id, turns):
        """Restart a kernel and, so many turns of the loop later, remove it."""
        restart = asyncio.ensure_future(self.kernel_manager.restart_kernel(kernel_id))
        for _ in range(turns):
            await asyncio.sleep(0)
        _, error = await asyncio.gather(
            self.kernel_manager.shutdown_kernel(kernel_id), restart, return_exceptions=True
        )
        # Without an error it was faster, or was cut off by upstream's own wait.
        return {"code": getattr(error, "status_code", None)}

    async def do_poll(self, kernel_id, by):
        """Follow a kernel as nbclient does, kill its process, and tell whether that was seen."""
        kernel = self.kernel_manager.get_kernel(kernel_id)
        client = kernel.client()
        if by == "client":
            client.start_channels()
        asked = client if by == "client" else kernel
        before = await asked.is_alive()
        kernel.provisioner.process.kill()
        # nbclient 0.11, NotebookClient._async_poll_kernel_alive, for some seconds
        looks = [before]
        while looks[-1] and len(looks) < 10:
            await asyncio.sleep(1)
            looks.append(await asked.is_alive())
        client.stop_channels()
        return {"seen": [looks[0], looks[-1]]}

    async def do_shutdown_all(self, removed_meanwhile):
        """End all kernels as the server does; some are removed at the same time."""
        removals = map(self.kernel_manager.shutdown_kernel, removed_meanwhile)
        await asyncio.gather(self.kernel_manager.shutdown_all(), *removals)
        return {}

    async def do_no_activity(self):
        """What core does once a minute when `shutdown_no_activity_timeout` is set."""
        result = self.serverapp.shutdown_no_activity()
        if inspect.isawaitable(result):
            await result
        return {}


def _jupyter_server_extension_points():
    return [{"module": "probe_extension"}]


def _load_jupyter_server_extension(serverapp):
    route = url_path_join(serverapp.web_app.settings["base_url"], "probe")
    serverapp.web_app.add_handlers(".*$", [(route, ProbeHandler)])
