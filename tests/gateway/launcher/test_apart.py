"""TorchServe and the gateway as processes of their own, as containers run them."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from camserve import ExplanationClient
from gateway.cli import main
from gateway.launcher.server import COMMAND, START_TIMEOUT_S
from tests.gateway.client import picture
from tests.gateway.launcher.conftest import all_gone, tree, until
from tests.gateway.launcher.test_up import add_model

pytestmark = pytest.mark.slow

FREE = ("--inference-port", "0", "--management-port", "0", "--metrics-port", "0")


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """A command of camserve-server, once it has said that it is ready, and what it said."""
    process = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield process, dict(fact.split(" ", 1) for fact in line.strip().partition(": ")[2].split(", "))
        finally:
            process.kill()


def test_a_gateway_before_a_torchserve_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_model(tmp_path / "store")
    served = ["--model-store", str(tmp_path / "store"), "--models", "shapes"]
    with running("torchserve", *served, *FREE) as (torchserve, at):
        processes = tree(torchserve.pid)
        assert len(processes) == 4  # itself, the guardian, Java and a worker
        addresses = ["--torchserve-inference", at["inference"], "--torchserve-management", at["management"]]
        gateway_ports = ["--port", "0", "--metrics-port", "0", "--scratch", str(tmp_path), "--log-format", "json"]
        with running("gateway", *served, *addresses, *gateway_ports) as (gateway, own):
            assert main(["health", "--server", own["grpc"]]) == 0
            with ExplanationClient(own["grpc"]) as client:
                assert client.explain(picture(64, 64), model="shapes").explanation.method
            with urlopen(f"http://{at['metrics']}/metrics", timeout=10) as page:
                assert b'ts_inference_requests_total{model_name="shapes"' in page.read()
            next(process for process in processes if "java" in process.name()).kill()
            until(lambda: main(["health", "--server", own["grpc"]]) == 1, "the gateway has seen that TorchServe ended")
            until(lambda: main(["health", "--server", own["grpc"]]) == 0, "TorchServe is there again", START_TIMEOUT_S)
            with ExplanationClient(own["grpc"]) as client:
                assert client.explain(picture(64, 64), model="shapes").explanation.method
            processes += tree(torchserve.pid)
            gateway.send_signal(signal.SIGTERM)
            log = gateway.communicate(timeout=60)[1]
            assert gateway.returncode == 0
            assert "stopping" in [json.loads(line)["message"] for line in log.splitlines()]
        assert main(["health", "--server", own["grpc"]]) == 1
        assert set(capsys.readouterr().out.splitlines()) == {"serving", "not serving"}
        torchserve.send_signal(signal.SIGTERM)
        torchserve.communicate(timeout=60)
        assert torchserve.returncode == 0
    assert all_gone(processes)


def test_a_torchserve_that_cannot_load_its_model_ends(tmp_path: Path) -> None:
    add_model(tmp_path / "store", code="raise ValueError('no such model')")
    ended = subprocess.run(
        [str(COMMAND), "torchserve", "--model-store", str(tmp_path / "store"), "--models", "shapes", *FREE],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 1
    assert "a worker of shapes:1 died while it loaded the model" in ended.stderr
