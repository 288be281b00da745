"""``camserve doctor``: what it finds, and its exit status."""

import json
from importlib.metadata import version

import pytest

from camserve.cli import main
from camserve.errors import InternalError
from camserve.v1 import explanation_pb2 as pb
from tests.client import fake_service
from tests.client.fake_service import FakeService


@pytest.fixture
def all_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [pb.Model() for _ in fake_service.MODELS]
    for ready, model in zip(models, fake_service.MODELS, strict=True):
        ready.CopyFrom(model)
        ready.ready = True
    monkeypatch.setattr(fake_service, "MODELS", models)


def _findings(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    return {each["check"]: (each["state"], each["text"]) for each in json.loads(capsys.readouterr().out)}


@pytest.mark.usefixtures("server", "all_ready")
def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert f"camserve {version('camserve')} on Python" in lines[0]
    assert lines[-1].startswith("ok       trial: scenes-captioner explained a gray picture in ")


@pytest.mark.usefixtures("server")
def test_a_model_that_is_not_ready_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 1
    found = _findings(capsys)
    assert found["model scenes-captioner 1"][0] == "failed"
    assert found["model scenes-classifier 1"] == ("ok", "ready, classify, 3 methods, grad-cam by default")
    assert found["trial"][1].startswith("scenes-classifier explained")


@pytest.mark.usefixtures("server", "all_ready")
@pytest.mark.parametrize(("told", "text"), [("9.9.9", "the server is 9.9.9, the client"), ("", "does not tell")])
def test_another_version_is_a_warning(
    service: FakeService, told: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service.version = told
    assert main(["doctor", "--json"]) == 0
    state, words = _findings(capsys)["version"]
    assert state == "warning"
    assert text in words


@pytest.mark.usefixtures("server", "all_ready")
def test_a_trial_that_fails_is_a_fault(service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.explain_failures = [InternalError("the worker died", "WORKER_DIED")]
    assert main(["doctor", "--json"]) == 1
    assert _findings(capsys)["trial"] == ("failed", "scenes-captioner does not explain a gray picture: the worker died")


def test_no_server_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--server", "127.0.0.1:1"]) == 1
    assert "failed   server: no camserve server answers at 127.0.0.1:1" in capsys.readouterr().out
