"""What the page asks the server for, and what it makes of the answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from camserve import CamserveError, ExplanationClient
from camserve.models import Model
from camserve.v1 import explanation_pb2 as pb
from camserve_playground import asking, choices, showing
from camserve_playground.asking import Question
from tests.client.conftest import address, service
from tests.client.fake_service import FakeService

__all__ = ["address", "service"]


@pytest.fixture
def client(address: str) -> Iterator[ExplanationClient]:
    with ExplanationClient(address) as client:
        yield client


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.new("RGB", (40, 30), "gray").save(path)
    return str(path)


def _model(client: ExplanationClient, task: str) -> Model:
    return next(model for model in client.models() if model.task == task)


@pytest.mark.parametrize(
    "case",
    [
        ("classify", {"label": "star"}, pb.Target(class_target=pb.ClassTarget(label="star"))),
        ("caption", {"text": " a dog "}, pb.Target(caption=pb.CaptionTarget(text="a dog", per_token=True))),
        ("caption", {}, pb.Target(caption=pb.CaptionTarget(per_token=True))),
        (
            "answer",
            {"question": "what?", "text": "red"},
            pb.Target(answer=pb.AnswerTarget(question="what?", answer="red")),
        ),
    ],
)
def test_each_task_has_its_target(
    client: ExplanationClient, service: FakeService, picture: str, case: tuple[str, dict[str, str], pb.Target]
) -> None:
    task, question, target = case
    asking.explain(client, _model(client, task), Question(picture, **question), "grad-cam")  # type: ignore[arg-type]
    (request,) = service.requests
    assert isinstance(request, pb.ExplainRequest)
    assert list(request.targets) == [target]
    assert (request.version, request.method) == ("1", "grad-cam")


def test_the_prediction_needs_no_target(client: ExplanationClient, service: FakeService, picture: str) -> None:
    asking.explain(client, _model(client, "classify"), Question(picture, label=choices.OWN), "grad-cam")
    assert not service.requests[0].targets


def test_a_method_that_fails_keeps_no_other_from_it(client: ExplanationClient, picture: str) -> None:
    model, question = _model(client, "classify"), Question(picture, label="star", faithfulness=True)
    compared = asking.compare(client, model, question, ["cam", "grad-cam", "opti-cam"])
    assert [each.method for each in compared.explanations] == ["grad-cam", "opti-cam"]
    assert compared.problems == ("cam: cam does not work here",)
    with pytest.raises(CamserveError, match="does not work"):
        asking.explain(client, model, question, "cam")
    assert showing.figures(compared.explanations)[0] == ["grad-cam", "12.5", "0.0", "0.750", "0.125", "50.0"]
    pictures = showing.overlays(compared.explanations, "", 0.5)
    assert [(drawn.size, text) for drawn, text in pictures] == [((40, 30), "grad-cam"), ((40, 30), "opti-cam")]


def test_remarks_tell_units_and_what_was_left_out(client: ExplanationClient, picture: str) -> None:
    result = asking.explain(client, _model(client, "classify"), Question(picture, label="star"), "grad-cam")
    text = showing.remarks(result, ("cam: cam does not work here",))
    assert text.startswith("**star**, score 4.5, grad-cam at trunk\n\n")
    assert "star (+1.5), small (+0.25), ring (-0.5)" in text
    assert "left out: cam: cam does not work here" in text
    assert showing.predictions(result) == {"circle": 0.75, "star": 0.25}
    assert showing.words(result.explanation, "", 0.5) == []
