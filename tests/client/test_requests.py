"""Arguments of Python calls become the requests that the contract means."""

from datetime import timedelta
from typing import Any

import pytest

from camserve import answer, caption, class_target, rendering_request
from camserve.requests import explain_request, list_models_request
from camserve.v1 import explanation_pb2 as pb


def request(**changes: Any) -> pb.ExplainRequest:
    arguments: dict[str, Any] = {
        "model": "m",
        "version": "",
        "target": None,
        "targets": (),
        "method": "",
        "layers": (),
        "polarity": "support",
        "options": None,
        "renderings": (),
        "faithfulness": False,
        "request_id": "",
    }
    return explain_request(b"picture", **(arguments | changes))


def test_the_least_request() -> None:
    expected = pb.ExplainRequest(model="m", image=b"picture", polarity=pb.POLARITY_SUPPORT)
    assert request() == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0, pb.ClassTarget(index=0)),
        (7, pb.ClassTarget(index=7)),
        ("circle", pb.ClassTarget(label="circle")),
        (class_target(0), pb.ClassTarget(index=0)),
        (class_target(rank=0), pb.ClassTarget(rank=0)),
        (class_target(label="circle", against=[1, 2]), pb.ClassTarget(label="circle", against=[1, 2])),
    ],
)
def test_class_targets(target: Any, expected: pb.ClassTarget) -> None:
    (built,) = request(target=target).targets
    assert built == pb.Target(class_target=expected)
    assert built.class_target.WhichOneof("selector") is not None  # index 0 and rank 0 are set, not absent


def test_caption_and_answer_targets() -> None:
    targets = request(targets=[caption(), caption("a dog", per_token=True), answer("what?", "red")]).targets
    assert list(targets) == [
        pb.Target(caption=pb.CaptionTarget()),
        pb.Target(caption=pb.CaptionTarget(text="a dog", per_token=True)),
        pb.Target(answer=pb.AnswerTarget(question="what?", answer="red")),
    ]


def test_options() -> None:
    options = request(options={"steps": 0, "aperture": 0.5, "objective": "margin", "budget": 1.5}).options
    assert options.HasField("steps")
    assert (options.aperture, options.objective) == (0.5, "margin")
    assert options.budget.ToMilliseconds() == 1500
    assert request(options={"budget": timedelta(milliseconds=20)}).options.budget.ToMilliseconds() == 20


def test_renderings() -> None:
    forms = request(
        renderings=["float32", rendering_request("overlay_png", size="input", opacity=0.0)]
    ).output.renderings
    assert list(forms) == [
        pb.RenderingRequest(format=pb.RENDERING_FORMAT_FLOAT32, size=pb.RENDERING_SIZE_ORIGINAL),
        pb.RenderingRequest(format=pb.RENDERING_FORMAT_OVERLAY_PNG, size=pb.RENDERING_SIZE_INPUT, opacity=0.0),
    ]
    assert not forms[0].HasField("opacity")
    assert forms[1].HasField("opacity")


def test_polarity_and_task() -> None:
    assert request(polarity="counter").polarity == pb.POLARITY_COUNTER
    assert list_models_request("answer").task == pb.TASK_ANSWER
    assert list_models_request(None) == pb.ListModelsRequest()


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"target": 1.5}, TypeError, "target: expected a class index, a class label or a Target, got float"),
        ({"target": True}, TypeError, "got bool"),
        ({"targets": "circle"}, TypeError, "targets: expected a sequence, got a str"),
        ({"layers": "trunk"}, TypeError, "layers: expected a sequence"),
        ({"target": 1, "targets": [2]}, ValueError, "not both"),
        ({"polarity": "unspecified"}, ValueError, "polarity: 'unspecified' is not one of support, counter"),
        ({"renderings": ["jpeg"]}, ValueError, "format: 'jpeg' is not one of float32, uint8, png"),
        ({"options": {"step": 3}}, ValueError, "options: 'step' is not one of steps, samples"),
    ],
)
def test_wrong_arguments_are_named(changes: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        request(**changes)


@pytest.mark.parametrize("selectors", [{}, {"index": 1, "rank": 0}, {"index": "circle"}])
def test_a_class_target_has_one_selector(selectors: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        class_target(**selectors)
