"""The whole service as a process of its own, for programs that start, use and stop it: demo, tests, benchmarks."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

COMMAND = Path(sys.executable).with_name("camserve-server")
START_TIMEOUT_S = 240.0
_STOP_TIMEOUT_S = 60.0


class ServerProcessError(Exception):
    """The server did not become ready."""


class Server:
    """A running ``camserve-server up``.

    Attributes:
        process: its process.
        address: where its gRPC service listens.
        metrics_address: where ``/metrics`` is.
        models: names of the models it serves.
        torchserve_metrics_address: where TorchServe's own ``/metrics`` is; empty: it has none.
        started: itself and every process that it had started when it was ready.
    """

    def __init__(self, process: "subprocess.Popen[str]", ready_line: str) -> None:
        """Reads the line that the server prints when it is ready."""
        values = dict(fact.split(" ", 1) for fact in ready_line.strip().partition(": ")[2].split(", "))
        self.process = process
        self.address = values["grpc"]
        self.metrics_address = values["metrics"]
        self.models = values["models"].split(",")
        self.torchserve_metrics_address = values.get("torchserve-metrics", "")
        root = psutil.Process(process.pid)
        self.started = [root, *root.children(recursive=True)]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stops it with a signal and returns its exit status."""
        self.process.send_signal(number)
        return self.process.wait(_STOP_TIMEOUT_S)

    def left_behind(self) -> list[psutil.Process]:
        """The processes that still run a moment after the server's own end."""
        _, alive = psutil.wait_procs(self.started, _STOP_TIMEOUT_S)
        return alive


@contextmanager
def run_server(*arguments: str, env: Mapping[str, str] | None = None, log: IO[str] | None = None) -> Iterator[Server]:
    """Runs ``camserve-server up`` on free ports until the context ends.

    Args:
        arguments: further ones of the command.
        env: variables beside our own.
        log: where its log goes; None: shown on stderr if anything fails.

    Raises:
        ServerProcessError: it did not become ready.
    """
    with tempfile.TemporaryFile("w+") if log is None else contextlib.nullcontext(log) as stream:
        process = subprocess.Popen(  # noqa: S603
            [COMMAND, "up", "--port", "0", "--metrics-port", "0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env={**os.environ, **(env or {})},
        )
        try:
            with process:
                try:
                    yield Server(process, _ready_line(process))
                finally:
                    process.terminate()
                    try:
                        process.wait(_STOP_TIMEOUT_S)
                    except subprocess.TimeoutExpired:
                        process.kill()
        except BaseException:
            if log is None:
                stream.seek(0)
                sys.stderr.write(f"--- log of {COMMAND.name}\n{stream.read()}---\n")
            raise


def _ready_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
    if not readable:
        raise ServerProcessError(f"the server was not ready within {START_TIMEOUT_S:.0f} s")
    line = process.stdout.readline()
    if not line:
        status = process.wait(_STOP_TIMEOUT_S)
        raise ServerProcessError(f"the server ended with status {status} before it was ready; its log says why")
    return line
