"""A running server and the calls on it that the measurements need."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import httpx

from .process import ORDINARY, START_TIMEOUT, ServerError, ServerProcess, Setup

DELETE_TIMEOUT = 60.0
WORKERS = 4


class Server:
    """A server, `stock` without the extension and `ours` with it; a context manager."""

    def __init__(self, side: str, setup: Setup = ORDINARY) -> None:
        """Say which side; entering the context starts the process."""
        self.side = side
        self.setup = setup

    def __enter__(self) -> Server:
        """Start the process and wait until it answers."""
        self.process = ServerProcess(self.side, self.setup)
        try:
            self.url = self.process.url()
            self.http = self.client()
            self._await_answer()
        except BaseException:
            self.process.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the process and its kernels, and remove every file."""
        self.http.close()
        self.process.remove()

    def client(self) -> httpx.Client:
        """Return a new HTTP client with connections of its own."""
        headers = {"Authorization": f"token {self.process.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=90, trust_env=False)

    def start_kernel(self, name: str = "python3") -> str:
        """Ask for a kernel of this kernelspec and return its id."""
        answer = self.http.post("/api/kernels", json={"name": name})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def execution_state(self, kernel_id: str) -> str | None:
        """Return what the kernel model says, None when there is no such kernel."""
        answer = self.http.get(f"/api/kernels/{kernel_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return str(answer.json()["execution_state"])

    def execution_states(self) -> dict[str, str]:
        """Return what the list of models says, by kernel id."""
        answer = self.http.get("/api/kernels")
        answer.raise_for_status()
        return {model["id"]: model["execution_state"] for model in answer.json()}

    def status(self, kernel_id: str) -> httpx.Response:
        """Ask for the extension's own status of a kernel."""
        return self.http.get(f"/api/kernels/{kernel_id}/status")

    def connection_file(self, kernel_id: str) -> Path:
        """Return where the kernel's connection file lies."""
        return self.process.runtime / f"kernel-{kernel_id}.json"

    def kernel_pid(self, kernel_id: str) -> int:
        """Return the pid of the kernel's present process."""
        pid = self.process.find_kernel(self.connection_file(kernel_id))
        if pid is None:
            raise ServerError(f"{self.side}: kernel {kernel_id} has no process")
        return pid

    def has_process(self, kernel_id: str) -> bool:
        """Tell whether the kernel has a process now."""
        return self.process.find_kernel(self.connection_file(kernel_id)) is not None

    def delete_kernels(self) -> None:
        """Delete every kernel and wait until none is listed."""
        deadline = time.monotonic() + DELETE_TIMEOUT
        while kernels := list(self.execution_states()):
            if time.monotonic() > deadline:
                raise ServerError(f"{self.side}: kernels stayed after DELETE: {kernels}")
            with ThreadPoolExecutor(WORKERS) as pool:
                list(pool.map(self._delete, kernels))

    def _delete(self, kernel_id: str) -> None:
        """Delete one kernel; what came of it shows in the list."""
        self.http.delete(f"/api/kernels/{kernel_id}")

    def _await_answer(self) -> None:
        """Wait until the server answers."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self.process.alive():
            try:
                self.http.get("/api").raise_for_status()
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise ServerError(
            f"{self.side}: the server does not answer:\n{self.process.log_text()[-2000:]}"
        )
