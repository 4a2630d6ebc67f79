"""The extension: configuration and wiring, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Float, Integer, Unicode, default

from .api.readers import Readers
from .api.recordings import Recordings
from .api.routes import Parts, routes
from .api.runs import Records
from .api.watch import Watchers
from .jupyter.charge import Settings
from .jupyter.events import Events
from .jupyter.metrics import Metrics
from .jupyter.plug import plug_in, plug_in_late, plug_in_websockets
from .jupyter.supervisor import Supervisor
from .tracking.heartbeat import Rhythm
from .tracking.history import Keep
from .tracking.inspection import Inspector
from .tracking.ledger import Ledger, Recording
from .tracking.tracker import Tracker
from .ui import STATIC


class KernelStatusApp(ExtensionApp):
    """What every kernel of this server does, and why it died."""

    name = "kernel_status_ext"

    start_timeout = Float(
        60.0, min=0, help="Seconds after which a kernel that does not answer has a reason."
    ).tag(config=True)

    start_retries = Integer(
        0, min=0, help="Automatic restarts of a kernel that died before it ever answered."
    ).tag(config=True)

    fast_restart = Bool(
        True, help="Restart a kernel that died at once, not at the restarter's next look (3 s)."
    ).tag(config=True)

    heartbeat_interval = Float(
        5.0, min=0.05, help="Seconds between looks at the heartbeat of a connected kernel."
    ).tag(config=True)

    unresponsive_after = Float(
        15.0, min=0.1, help="Seconds of silence after which a kernel is called unresponsive."
    ).tag(config=True)

    capture_stderr = Bool(
        True, help="Keep the end of what kernels write to stderr, to tell why they died."
    ).tag(config=True)

    stderr_tail = Integer(
        16384, min=0, help="Bytes that are kept of the end of a kernel's stderr."
    ).tag(config=True)

    crash_traces = Bool(
        False, help="Have ipykernels leave their Python stack when native code crashes."
    ).tag(config=True)

    dead_kernel_retention = Float(
        86400.0, min=0, help="Seconds for which a dead kernel stays listed; 0: until deleted."
    ).tag(config=True)

    max_dead_kernels = Integer(
        100, min=0, help="Dead kernels that stay listed; the oldest go first."
    ).tag(config=True)

    max_wait = Float(300.0, min=0, help="Seconds for which one call to wait may take at most.").tag(
        config=True
    )

    max_watchers = Integer(
        1000, min=0, help="How many may watch the stream of changes at a time."
    ).tag(config=True)

    history_path = Unicode(
        help="The file of all runs, shared by all servers of a user; ':memory:' for none."
    ).tag(config=True)

    @default("history_path")
    def _history_in_the_data_directory(self) -> str:
        return str(Path(jupyter_data_dir(), "kernel_status_ext", "runs.sqlite3"))

    history_days = Float(30.0, min=0, help="Days for which runs are kept; 0: for ever.").tag(
        config=True
    )

    history_runs = Integer(
        1_000_000, min=0, help="Runs that are kept; the oldest go first; 0: all."
    ).tag(config=True)

    history_bytes = Integer(
        1 << 30, min=0, help="Bytes of that file; the oldest runs go first; 0: no such limit."
    ).tag(config=True)

    record_code = Bool(True, help="Record the code of runs, and what their errors say.").tag(
        config=True
    )

    code_limit = Integer(65536, min=0, help="Bytes that are recorded of a run's code.").tag(
        config=True
    )

    run_output_limit = Integer(
        8_388_608, min=0, help="Bytes kept of what a run puts out, for readers who come back."
    ).tag(config=True)

    output_limit_total = Integer(
        67_108_864, min=0, help="Bytes kept of what all runs put out; the oldest ended go first."
    ).tag(config=True)

    max_run_readers = Integer(
        1000, min=0, help="How many may read the streams of runs at a time."
    ).tag(config=True)

    run_reader_limit = Integer(
        16_777_216, min=0, help="Bytes that may wait for one of them; who is behind is sent away."
    ).tag(config=True)

    supervisor: Supervisor | None = None

    metrics: Metrics | None = None

    @default("static_paths")
    def _static_files_of_the_page(self) -> list[str]:
        return [str(STATIC)]

    def _link_jupyter_server_extension(self, serverapp: Any) -> None:
        # jupyter_server 2.21, ExtensionApp: the last moment before the managers are made.
        super()._link_jupyter_server_extension(serverapp)
        plug_in(serverapp, self._supervise())

    def _supervise(self) -> Supervisor:
        if self.supervisor is None:
            settings = Settings(
                start_timeout=self.start_timeout,
                start_retries=self.start_retries,
                fast_restart=self.fast_restart,
                capture_stderr=self.capture_stderr,
                stderr_tail=self.stderr_tail,
                crash_traces=self.crash_traces,
                dead_kernel_retention=self.dead_kernel_retention,
                max_dead_kernels=self.max_dead_kernels,
                rhythm=Rhythm(self.heartbeat_interval, self.unresponsive_after),
                history_path=self.history_path,
                keep=Keep(self.history_days, self.history_runs, self.history_bytes),
                recording=Recording(self.record_code, self.code_limit),
            )
            self.supervisor = Supervisor(settings, self.log)
        return self.supervisor

    def initialize_settings(self) -> None:
        """Give the tracker to handlers, other extensions and the event bus."""
        supervisor = self._supervise()
        serverapp: Any = self.serverapp
        plug_in_late(serverapp, supervisor)
        plug_in_websockets(serverapp, supervisor)
        # ExtensionApp copies the server's settings before this call and writes them back after.
        self.settings.pop("kernel_websocket_connection_class", None)
        self.settings["kernel_status"] = supervisor.tracker
        supervisor.tracker.listen(Events(serverapp.event_logger, self.log).changed)

    def initialize_handlers(self) -> None:
        """Add the routes."""
        supervisor = self._supervise()
        inspector = Inspector(supervisor.is_here)
        watchers = Watchers(supervisor.tracker, inspector, self.max_watchers, self.log)
        supervisor.when_ended(watchers.close)
        supervisor.remotes.is_watched = lambda: len(watchers) > 0
        records = self._records(supervisor, inspector)
        self.handlers.extend(routes(Parts(self.max_wait, watchers, inspector, records)))
        self._measure(supervisor.tracker, watchers, supervisor.runs.ledger)

    def _records(self, supervisor: Supervisor, inspector: Inspector) -> Records:
        runs, readers = supervisor.runs, Readers(self.max_run_readers, self.run_reader_limit)
        recordings = Recordings(self.run_output_limit, self.output_limit_total, readers)
        runs.ledger.listen(recordings.changed)
        supervisor.when_ended(recordings.close)
        return Records(runs.ledger, runs.history, runs.errands, recordings, inspector)

    def _measure(self, tracker: Tracker, watchers: Watchers, ledger: Ledger) -> None:
        self.metrics = Metrics(tracker, lambda: tracker.waiting, watchers.__len__)
        tracker.listen(self.metrics.changed)
        ledger.listen(self.metrics.run_changed)
        self.metrics.register()

    async def stop_extension(self) -> None:
        """Know that it is the server's end that ends kernels from now on."""
        if self.supervisor is not None:
            self.supervisor.stopping()
        if self.metrics is not None:
            self.metrics.unregister()
