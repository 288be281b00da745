"""The whole service: TorchServe, the handlers and the gateway, on a model too small to wait for."""

import concurrent.futures
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from camserve import ExplanationClient
from gateway.launcher.server import COMMAND, START_TIMEOUT_S, run_server
from tests.gateway.launcher.conftest import all_gone, until
from tests.recipes import recipe_data, write_model

pytestmark = pytest.mark.slow

PICTURE = Image.new("RGB", (40, 30), "gray")

MODEL = """
from torch import nn

def build():
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), *head)
"""


def add_model(store: Path, version: str = "1", code: str = MODEL) -> None:
    data = recipe_data() | {"version": version, "weights": {"random": True}}
    folder = write_model(store / f"shapes-{version}", data)
    (folder / "model.py").write_text(code)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    add_model(tmp_path / "store")
    return tmp_path / "store"


def up(store: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a server that is expected to fail."""
    return subprocess.run(
        [COMMAND, "up", "--model-store", store, "--models", "shapes", "--port", "0", "--metrics-port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The servers' folder for temporary files; its path is short, as the sockets in it want."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def test_is_healthy_when_it_says_so_and_leaves_nothing(store: Path, temporary: Path) -> None:
    add_model(store, "2")
    env = {"CAMSERVE_MODEL_STORE": str(store), "CAMSERVE_MODELS": "shapes"}
    with run_server("--models", "shapes", env=env) as server:
        assert server.models == ["shapes"]
        assert len(server.started) == 5  # itself, the guardian, Java and two workers
        with grpc.insecure_channel(server.address) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert check.status == health_pb2.HealthCheckResponse.SERVING
        with urlopen(f"http://{server.metrics_address}/metrics", timeout=10) as page:
            assert b"camserve_" in page.read()
        assert server.stop(signal.SIGTERM) == 0
        assert server.left_behind() == []
    assert list(temporary.iterdir()) == []
    assert {file.name for file in store.glob("*.mar")} == {"shapes-1.mar", "shapes-2.mar"}


def test_ctrl_c_stops_it_cleanly(store: Path) -> None:
    with run_server("--model-store", str(store), "--models", "shapes") as server:
        assert server.stop(signal.SIGINT) == 0
        assert server.left_behind() == []


def test_a_kill_leaves_nothing(store: Path, temporary: Path) -> None:
    with run_server("--model-store", str(store), "--models", "shapes") as server:
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        assert server.left_behind() == []
    assert list(temporary.iterdir()) == []


def test_a_signal_while_it_starts_stops_it_too(store: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "up", "--model-store", store, "--models", "shapes", "--port", "0", "--metrics-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "starting TorchServe, loading shapes:1" in process.stderr.readline()
        process.terminate()
        out, _ = process.communicate(timeout=START_TIMEOUT_S)
    assert (process.returncode, out) == (0, "")


def test_a_model_that_cannot_be_loaded_ends_it(store: Path) -> None:
    add_model(store, "2", code="def build():\n    raise LookupError('no such network')\n")
    result = up(store)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "a worker of shapes:2 died while it loaded the model" in result.stderr
    assert "LookupError: no such network" in result.stderr


@pytest.mark.parametrize("option", ["--port", "--metrics-port"])
def test_a_port_that_is_taken_is_named(store: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = up(store, option, str(port))
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr


@pytest.mark.timeout(900)
def test_versions_are_rolled_in_and_out_at_sighup_and_no_request_fails(store: Path) -> None:
    arguments = ["--model-store", str(store), "--models", "shapes", "--torchserve-metrics-port", "0"]
    with run_server(*arguments) as server:
        with concurrent.futures.ThreadPoolExecutor() as pool, ExplanationClient(server.address) as client:
            over = threading.Event()

            def ask() -> list[str]:
                versions = []
                while not over.is_set():
                    versions.append(client.predict(PICTURE, model="shapes").proto.version)
                    time.sleep(0.05)  # so that there is time for TorchServe to start beside it
                return versions

            asking = [pool.submit(ask) for _ in range(2)]
            try:
                add_model(store, "2")
                server.process.send_signal(signal.SIGHUP)
                until(lambda: client.model("shapes").version == "2", "version 2 is served", START_TIMEOUT_S)
                shutil.rmtree(store / "shapes-2")
                server.process.send_signal(signal.SIGHUP)
                until(
                    lambda: [m.version for m in client.models()] == ["1"], "version 1 is alone again", START_TIMEOUT_S
                )
            finally:
                over.set()
            versions = [version for asked in asking for version in asked.result()]
        assert set(versions) == {"1", "2"}
        processes = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
        until(lambda: len(psutil.Process(server.process.pid).children(recursive=True)) == 3, "the former ones are gone")
        with urlopen(f"http://{server.torchserve_metrics_address}/metrics", timeout=10) as page:
            assert b"ts_inference_requests_total" in page.read()  # of the one that serves now
        assert server.stop() == 0
        assert all_gone(processes)
