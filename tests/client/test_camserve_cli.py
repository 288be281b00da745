"""The ``camserve`` command, run in this process against a real gRPC server."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camserve.cli import main
from camserve.client import ExplanationClient
from camserve.commands.explain import _explain_watched
from camserve.errors import InternalError
from camserve.v1 import explanation_pb2 as pb
from tests.client.fake_service import FakeService


@pytest.mark.usefixtures("server")
def test_explain_writes_the_overlay_and_a_table(
    picture: str, tmp_path: Path, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "overlay.png"
    arguments = ["--class", "star", "--out", str(out), "--colormap", "jet", "--method", "grad-cam", "--layer", "trunk"]
    assert main(["explain", picture, *arguments]) == 0
    assert service.requests[0].model == "scenes-classifier"
    assert np.asarray(Image.open(out))[29, 39].tolist() == [128, 64, 64]
    text = capsys.readouterr().out
    assert "scenes-classifier 1 predicts circle (probability 0.7500)" in text
    assert "star" in text
    assert "x 30, y 22" in text
    assert f"wrote {out}" in text


@pytest.mark.usefixtures("server")
def test_figures_of_maps_have_a_table(picture: str, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explain", picture, "--class", "star", "--class", "circle"]
    assert main([*arguments, "--faithfulness"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["target", "drop", "gain", "increase", "insertion", "deletion", "unseen"] in lines
    assert ["star", "12.5", "%", "0.0", "%", "no", "0.750", "0.125", "50.0", "%"] in lines
    assert main(arguments) == 0
    assert "insertion" not in capsys.readouterr().out
    wanted = [request.faithfulness for request in service.requests if isinstance(request, pb.ExplainRequest)]
    assert wanted == [True, False]
    assert main([*arguments, "--faithfulness", "--json"]) == 0
    for explanation in json.loads(capsys.readouterr().out)["explanations"]:
        assert explanation["faithfulness"]["unseen_share"] == 0.5


@pytest.mark.usefixtures("server")
def test_named_units_are_told(picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", picture, "--class", "star", "--class", "circle"]) == 0
    text = capsys.readouterr().out
    assert "star because: star (+1.5), small (+0.25); against: ring (-0.5)\n" in text
    assert "circle because" not in text


@pytest.mark.usefixtures("server")
def test_progress_without_a_result_is_the_servers_fault(
    picture: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("camserve.client.ExplanationClient.explain_progress", lambda *_, **__: iter(()))
    assert main(["explain", picture, "--progress"]) == 1
    assert "without a result" in capsys.readouterr().err
    with ExplanationClient("localhost:1") as client, pytest.raises(InternalError) as caught:
        _explain_watched(client, b"", model="any")
    assert caught.value.reason == "NO_RESULT"


@pytest.mark.usefixtures("server")
def test_progress_is_shown_and_the_result_is_that_of_explain(picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", picture, "--class", "star"]) == 0
    plain = capsys.readouterr()
    assert main(["explain", picture, "--class", "star", "--method", "opti-cam", "--progress"]) == 0
    watched = capsys.readouterr()
    assert watched.out == plain.out.replace("grad-cam", "opti-cam")
    lines = [line.strip() for line in watched.err.split("\r") if line]
    assert lines == ["step 1 of 2, objective 0.2500", "step 2 of 2, objective 0.5000"]
    assert watched.err.endswith("\n")


@pytest.mark.usefixtures("server")
def test_targets_keep_their_order_and_name_their_overlays(picture: str, tmp_path: Path, service: FakeService) -> None:
    out = str(tmp_path / "overlay.png")
    assert main(["explain", picture, "--index", "2", "--class", "star", "--rank", "0", "--out", out]) == 0
    kinds = [target.class_target.WhichOneof("selector") for target in service.requests[0].targets]
    assert kinds == ["index", "label", "rank"]
    written = {path.name for path in tmp_path.glob("overlay*")}
    assert written == {"overlay-square.png", "overlay-star.png", "overlay-circle.png"}


@pytest.mark.usefixtures("server")
def test_targets_of_one_name_do_not_overwrite_each_other(picture: str, tmp_path: Path) -> None:
    out = str(tmp_path / "overlay.png")
    assert main(["explain", picture, "--class", "circle", "--rank", "0", "--out", out]) == 0
    assert {path.name for path in tmp_path.glob("overlay*")} == {"overlay-0-circle.png", "overlay-1-circle.png"}


@pytest.mark.usefixtures("server")
def test_explain_as_json(picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", picture, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["predictions"][0]["class_prediction"]["index"] == 0
    assert content["explanations"][0]["heatmap"]["values"] == [[0, 1], [2, 8]]
    assert "data" not in content["explanations"][0]["heatmap"]
    assert content["overlays"] == []


@pytest.mark.usefixtures("server")
def test_captions_and_questions_choose_their_models(picture: str, service: FakeService) -> None:
    assert main(["explain", picture, "--caption", "a dog"]) == 0
    assert main(["explain", picture, "--question", "what colour?", "--answer", "red"]) == 0
    assert main(["predict", picture, "--question", "what colour?"]) == 0
    assert [request.model for request in service.requests] == ["scenes-captioner", "scenes-answerer", "scenes-answerer"]
    assert service.requests[0].targets[0].caption.text == "a dog"
    assert service.requests[1].targets[0].answer.answer == "red"


@pytest.mark.usefixtures("server")
def test_words_have_a_table_and_a_sheet(
    picture: str, tmp_path: Path, service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "words.png"
    assert main(["explain", picture, "--caption", "a dog", "--per-token", "--out", str(out)]) == 0
    request = service.requests[0]
    assert isinstance(request, pb.ExplainRequest)
    assert request.model == "scenes-captioner"
    assert request.targets[0].caption == pb.CaptionTarget(text="a dog", per_token=True)
    assert Image.open(out).width > 3 * 224
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["dog", "-0.25", "x", "30,", "y", "22"] for line in lines)


@pytest.mark.usefixtures("server")
def test_words_of_what_the_model_says(picture: str, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", picture, "--per-token", "--json"]) == 0
    request = service.requests[0]
    assert isinstance(request, pb.ExplainRequest)
    assert request.targets[0].caption == pb.CaptionTarget(per_token=True)
    (explanation,) = json.loads(capsys.readouterr().out)["explanations"]
    assert [token["text"] for token in explanation["tokens"]] == ["a", "red", "circle"]
    assert explanation["tokens"][0]["heatmap"]["values"] == [[0, 1], [2, 8]]


@pytest.mark.usefixtures("server")
def test_predict(picture: str, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", picture, "--model", "other", "--top-k", "2"]) == 0
    assert (service.requests[0].model, service.requests[0].top_k) == ("other", 2)
    assert capsys.readouterr().out.splitlines() == [
        "prediction  probability  score",
        "circle      0.7500       2.5",
        "star        0.2500       2.5",
    ]
    assert main(["predict", picture, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 2


@pytest.mark.usefixtures("server")
def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "scenes-captioner" in text
    assert "not ready" in text
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "scenes-answerer"


@pytest.mark.usefixtures("server")
def test_one_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "scenes-classifier"]) == 0
    text = capsys.readouterr().out
    assert "circle, star, square" in text
    assert "stem, trunk*" in text
    assert main(["models", "scenes-classifier", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["default_method"] == "grad-cam"


@pytest.mark.usefixtures("server")
def test_an_unknown_label_names_the_nearest(picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", picture, "--class", "circel"]) == 2
    error = capsys.readouterr().err
    assert "there is no class 'circel'; nearest: circle" in error
    assert "camserve models NAME" in error


@pytest.mark.usefixtures("server")
def test_an_unknown_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "nope"]) == 2
    assert "there is no model 'nope'\n`camserve models` lists the models." in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_a_fault_of_the_server(picture: str, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.failures = [InternalError("the worker died", "WORKER_DIED")]
    assert main(["predict", picture, "--model", "m"]) == 1
    assert capsys.readouterr().err == "camserve: the worker died\n"


@pytest.mark.usefixtures("server")
def test_a_deadline_that_passes(picture: str, service: FakeService, capsys: pytest.CaptureFixture[str]) -> None:
    service.blocked.clear()
    assert main(["predict", picture, "--model", "m", "--timeout", "0.2"]) == 1
    assert "--timeout SECONDS" in capsys.readouterr().err


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--server", "127.0.0.1:1"]) == 1
    error = capsys.readouterr().err
    assert "no camserve server answers at 127.0.0.1:1" in error
    assert "camserve-server up" in error
    assert "--server" in error


def test_an_unreadable_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(tmp_path / "nope.jpg")]) == 2
    assert "nope.jpg: No such file or directory" in capsys.readouterr().err
    assert main(["explain", str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "overlay.txt"], "ends in .png"),
        (["--out", "no/such/folder/overlay.png"], "there is no folder"),
        (["--opacity", "1.5"], "a number from 0 to 1"),
        (["--opacity", "nan"], "a number from 0 to 1"),
        (["--timeout", "0"], "seconds above 0"),
        (["--index", "-1"], "a whole number from 0"),
        (["--rank", "top"], "a whole number from 0"),
        (["--colormap", "hot"], "invalid choice"),
    ],
)
def test_wrong_options(arguments: list[str], message: str, picture: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["explain", picture, *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--answer", "red"], "--answer needs the --question"),
        (["--per-token", "--question", "what?"], "a model has one task"),
        (["--class", "star", "--caption", "a star"], "a model has one task"),
    ],
)
def test_options_that_do_not_fit(
    arguments: list[str], message: str, picture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", picture, *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_options_of_the_method_are_sent_as_what_they_are(picture: str, service: FakeService) -> None:
    options = ["steps=50", "noise=0.25", "objective=mask", "budget=1.5"]
    assert main(["explain", picture, *(word for option in options for word in ("--option", option))]) == 0
    sent = service.requests[0].options
    assert (sent.steps, sent.noise, sent.objective, sent.budget.ToTimedelta().total_seconds()) == (
        50,
        0.25,
        "mask",
        1.5,
    )


@pytest.mark.parametrize("option", ["steps", "stepps=3", "steps=many", "steps=-1", "steps=1.5", "noise=loud"])
def test_options_that_cannot_be_read_say_what_is_expected(
    picture: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["explain", picture, "--option", option])
    assert ended.value.code == 2
    assert "expected" in capsys.readouterr().err
