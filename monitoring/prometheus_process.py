"""A Prometheus on this machine, with the rules and the jobs of ``monitoring/prometheus/``."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

FOLDER = Path(__file__).parent / "prometheus"
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0


class PrometheusError(Exception):
    """Prometheus is not installed, or did not come up; the message says what to do."""


class Prometheus:
    """A running Prometheus.

    Attributes:
        address: where its pages and its API are.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series that an expression gives now, with their labels and values."""
        found: list[dict[str, Any]] = self.api("query", query=expr)["result"]
        return found

    def api(self, path: str, **parameters: str) -> Any:
        """What its API answers.

        Raises:
            PrometheusError: it refuses, for instance an expression with a mistake.
        """
        url = f"{self.address}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urlopen(url, timeout=30) as page:  # noqa: S310 - our own
                return json.load(page)["data"]
        except URLError as error:
            raise PrometheusError(f"{url}: {error}") from error

    def graph(self, expr: str) -> str:
        """The page that draws an expression."""
        return f"{self.address}/graph?" + urlencode({"g0.expr": expr, "g0.tab": "0", "g0.range_input": "15m"})


@contextmanager
def run_prometheus(targets: Mapping[str, str], *, port: int = 0, interval: str = "5s") -> Iterator[Prometheus]:
    """Runs Prometheus until the context ends; what it has stored is gone then.

    Args:
        targets: the address to scrape for each job of ``prometheus.yml``; a job without one is left out.
        port: where it listens, on loopback; 0: on a free one.
        interval: between scrapes, and between evaluations of the rules.

    Raises:
        PrometheusError: it is not installed, or did not come up.
    """
    binary = shutil.which("prometheus")
    if binary is None:
        raise PrometheusError("Prometheus is not installed; on Debian and Ubuntu: apt install prometheus")
    listen = f"127.0.0.1:{port or _free_port()}"
    with tempfile.TemporaryDirectory(prefix="camserve-prometheus-") as folder, (Path(folder) / "log").open("w+") as log:
        config = Path(folder) / "prometheus.yml"
        config.write_text(yaml.safe_dump(local_config(targets, interval)))
        process = subprocess.Popen(  # noqa: S603
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={listen}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(process, f"http://{listen}", Path(log.name))
            yield Prometheus(f"http://{listen}")
        finally:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def local_config(targets: Mapping[str, str], interval: str) -> dict[str, Any]:
    """``prometheus.yml`` for processes on this machine."""
    config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    config["rule_files"] = [str(FOLDER / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"] = [
        {"job_name": job["job_name"], "static_configs": [{"targets": [targets[job["job_name"]]]}]}
        for job in config["scrape_configs"]
        if job["job_name"] in targets
    ]
    return config


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"{address}/-/ready", timeout=5):  # noqa: S310 - our own
                return
        except URLError:
            time.sleep(0.1)
    raise PrometheusError(f"Prometheus did not come up; its log ends with:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
