"""Classes and tricks that a user of the server under test may have configured."""

from __future__ import annotations

import os
from importlib.metadata import EntryPoint

from jupyter_client.provisioning import LocalProvisioner
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_server.services.kernels.kernelmanager import (
    AsyncMappingKernelManager,
    ServerKernelManager,
)
from traitlets import Unicode


class HouseMapping(AsyncMappingKernelManager):
    """A mapping manager of the user's, with a trait and overrides of its own."""

    house = Unicode("", config=True)

    async def start_kernel(self, **kwargs):
        """Start, and say so."""
        self.log.info("house starts a kernel")
        return await super().start_kernel(**kwargs)

    def kernel_model(self, kernel_id):
        """Add a field of the house."""
        return {**super().kernel_model(kernel_id), "house": self.house}


class BrokenRestartMapping(AsyncMappingKernelManager):
    """A mapping manager of the user's that has an error in its restart."""

    async def restart_kernel(self, *args, **kwargs):
        """Fail before anything is done."""
        raise ArithmeticError("a fault of the house")


class HouseKernel(ServerKernelManager):
    """A kernel's manager of the user's, with a trait and overrides of its own."""

    motto = Unicode("", config=True)

    async def restart_kernel(self, *args, **kwargs):
        """Restart by a private method of its own, as some do."""
        await self._restart(**kwargs)

    async def _restart(self, **kwargs):
        """Take its own two steps, through the public names."""
        self.log.info("house restarts with motto %s", self.motto)
        launch = dict(self._launch_args)
        await self.shutdown_kernel(now=kwargs.get("now", False), restart=True)
        await self.start_kernel(**launch)


class HiddenProvisioner(LocalProvisioner):
    """A provisioner whose process is nobody's child: it can only be asked."""

    hidden = None

    @property
    def has_process(self):
        """Whether there is a process."""
        return self.hidden is not None

    async def launch_kernel(self, cmd, **kwargs):
        """Launch, and hide what subprocess gave."""
        info = await super().launch_kernel(cmd, **kwargs)
        self.hidden, self.process = self.process, None
        return info

    async def poll(self):
        """Tell the exit code."""
        return 0 if self.hidden is None else self.hidden.poll()

    async def wait(self):
        """Wait, and forget the process."""
        code = self.hidden.wait() if self.hidden else 0
        self.hidden = None
        return code

    async def send_signal(self, signum):
        """Send a signal."""
        if self.hidden:
            self.hidden.send_signal(signum)

    async def kill(self, restart=False):
        """Kill."""
        if self.hidden:
            self.hidden.kill()

    async def terminate(self, restart=False):
        """Terminate."""
        if self.hidden:
            self.hidden.terminate()


class LoudProvisioner(LocalProvisioner):
    """A provisioner that sends stderr where it wants."""

    async def launch_kernel(self, cmd, **kwargs):
        """Launch, with a stderr of its own."""
        with open(os.devnull, "wb") as nowhere:  # noqa: ASYNC230, PTH123
            return await super().launch_kernel(cmd, stderr=nowhere, **kwargs)


class HidingMapping(AsyncMappingKernelManager):
    """Knows the hidden provisioner without an installed entry point."""

    def __init__(self, **kwargs):
        """Register it."""
        super().__init__(**kwargs)
        factory = KernelProvisionerFactory.instance(parent=self.parent)
        for name in ("Hidden", "Loud"):
            point = EntryPoint(
                name, f"user_classes:{name}Provisioner", "jupyter_client.kernel_provisioners"
            )
            factory.provisioners[name.lower()] = point


class NoPidfdMapping(AsyncMappingKernelManager):
    """A machine where pidfds are refused."""

    def __init__(self, **kwargs):
        """Refuse them, as seccomp does."""
        super().__init__(**kwargs)

        def refuse(_pid, _flags=0):
            raise PermissionError(1, "Operation not permitted")

        os.pidfd_open = refuse
