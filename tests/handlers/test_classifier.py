"""The classifier, through packs as the gateway sends them."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from google.rpc import code_pb2
from PIL import Image

import saliency
from camserve.errors import from_status
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.classifier import Classifier
from saliency import explain
from tests.handlers.conftest import LABELS, FolderFactory, png
from tests.handlers.packs import reply, send, values

CPU = torch.device("cpu")


@pytest.fixture
def classifier(folder: FolderFactory) -> Classifier:
    return Classifier(folder(), CPU)


def _label(label: str) -> pb.Target:
    return pb.Target(class_target=pb.ClassTarget(label=label))


def test_an_explanation_is_the_cores_own(classifier: Classifier) -> None:
    (result,) = send(classifier, pb.ExplainRequest(image=png(), targets=[_label("DOG"), _label("bird")]))
    response = result.explain
    picture = classifier.read(wire.Item(predict=pb.PredictRequest(image=png())), arrival=0.0).picture
    expected = explain(classifier.runner.network, picture.tensor[None], [[1, 2]], "grad-cam", "trunk")
    assert [e.target.class_target.label for e in response.explanations] == ["dog", "bird"]
    for k, explanation in enumerate(response.explanations):
        np.testing.assert_allclose(values(explanation.heatmap), expected.maps[0, k], rtol=1e-6)
        assert explanation.score == pytest.approx(expected.scores[0, k].item())
        assert explanation.method == "grad-cam"
        assert list(explanation.layers) == ["trunk"]
        assert explanation.heatmap.minimum == values(explanation.heatmap).min()
        assert explanation.heatmap.maximum == values(explanation.heatmap).max()
        assert explanation.heatmap.box == pb.Box(left=0, top=0, right=64, bottom=40)
    assert response.image_size == pb.ImageSize(height=40, width=64)
    assert response.timing.decode.nanos > 0
    assert response.timing.explain.nanos > 0


def test_predictions_are_the_softmax_best_first(classifier: Classifier) -> None:
    explained, predicted = send(classifier, pb.ExplainRequest(image=png()), pb.PredictRequest(image=png(), top_k=2))
    picture = classifier.read(wire.Item(predict=pb.PredictRequest(image=png())), arrival=0.0).picture
    logits = classifier.runner.network(picture.tensor[None])[0]
    order = logits.argsort(descending=True).tolist()
    got = [p.class_prediction for p in explained.explain.predictions]
    assert [p.index for p in got] == order
    assert [p.label for p in got] == [LABELS[i] for i in order]
    np.testing.assert_allclose([p.probability for p in got], logits.softmax(0)[order], rtol=1e-5)
    np.testing.assert_allclose([p.logit for p in got], logits[order], rtol=1e-5)
    assert [p.class_prediction.index for p in predicted.predict.predictions] == order[:2]
    assert explained.explain.explanations[0].target.class_target.index == order[0]


def test_ranks_contrasts_and_polarity(classifier: Classifier) -> None:
    request = pb.ExplainRequest(
        image=png(),
        targets=[
            pb.Target(class_target=pb.ClassTarget(rank=1)),
            pb.Target(class_target=pb.ClassTarget(index=0, against=[1, 2])),
        ],
        polarity=pb.POLARITY_COUNTER,
    )
    (result,) = send(classifier, request)
    second, contrast = result.explain.explanations
    ranked = [p.class_prediction for p in result.explain.predictions]
    logits = {p.index: p.logit for p in ranked}
    assert second.target.class_target.index == ranked[1].index
    assert second.target.polarity == pb.POLARITY_COUNTER
    assert second.score == pytest.approx(ranked[1].logit, abs=1e-5)
    assert list(contrast.target.class_target.against) == [1, 2]
    assert contrast.score == pytest.approx(logits[0] - (logits[1] + logits[2]) / 2, abs=1e-5)


def test_a_pack_gives_what_lone_requests_give(classifier: Classifier) -> None:
    requests: list[Any] = [
        pb.ExplainRequest(image=png(seed=1), targets=[_label("cat")]),
        pb.ExplainRequest(image=png(seed=2), targets=[_label("dog"), _label("fish"), _label("cat")]),
        pb.PredictRequest(image=png(seed=3)),
        pb.ExplainRequest(image=png(seed=4), layers=["trunk.0"]),
    ]
    together = send(classifier, *requests)
    for request, result in zip(requests, together, strict=True):
        (alone,) = send(classifier, request)
        assert result.WhichOneof("result") == alone.WhichOneof("result")
        if isinstance(request, pb.PredictRequest):
            continue
        assert len(result.explain.explanations) == max(1, len(request.targets))
        for a, b in zip(result.explain.explanations, alone.explain.explanations, strict=True):
            assert a.target.class_target.label == b.target.class_target.label
            np.testing.assert_allclose(values(a.heatmap), values(b.heatmap), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("request_", "code", "reason", "field"),
    [
        (pb.ExplainRequest(image=b"not an image"), code_pb2.INVALID_ARGUMENT, "IMAGE_NOT_RECOGNISED", "image"),
        (pb.ExplainRequest(image=png()[:200]), code_pb2.INVALID_ARGUMENT, None, "image"),
        (pb.PredictRequest(image=b""), code_pb2.INVALID_ARGUMENT, "IMAGE_EMPTY", "image"),
        (
            pb.ExplainRequest(image=png(), targets=[_label("dgo")]),
            code_pb2.INVALID_ARGUMENT,
            "LABEL_UNKNOWN",
            "targets[0].class_target.label",
        ),
        (
            pb.ExplainRequest(image=png(), targets=[pb.Target(class_target=pb.ClassTarget(index=9))]),
            code_pb2.INVALID_ARGUMENT,
            "TARGET_INVALID",
            "targets",
        ),
        (
            pb.ExplainRequest(image=png(), targets=[pb.Target(caption=pb.CaptionTarget(text="a cat"))]),
            code_pb2.INVALID_ARGUMENT,
            "TARGET_KIND_MISMATCH",
            "targets[0]",
        ),
        (
            pb.ExplainRequest(image=png(), targets=[pb.Target(class_target=pb.ClassTarget())]),
            code_pb2.INVALID_ARGUMENT,
            "TARGET_EMPTY",
            "targets[0].class_target",
        ),
        (pb.ExplainRequest(image=png(), method="grad-cm"), code_pb2.NOT_FOUND, "METHOD_UNKNOWN", "method"),
        (pb.ExplainRequest(image=png(), layers=["no"]), code_pb2.INVALID_ARGUMENT, "LAYER_UNKNOWN", "layers"),
        (pb.ExplainRequest(image=png(), layers=["head"]), code_pb2.INVALID_ARGUMENT, "LAYER_UNKNOWN", "layers"),
        (
            pb.ExplainRequest(image=png(), options=pb.MethodOptions(steps=3)),
            code_pb2.INVALID_ARGUMENT,
            "OPTION_INVALID",
            "options",
        ),
    ],
)
def test_a_bad_item_gets_its_own_error_and_touches_no_other(
    classifier: Classifier,
    request_: Any,
    code: int,
    reason: str | None,
    field: str,
) -> None:
    good = pb.ExplainRequest(image=png(), targets=[_label("dog")])
    before, bad, after = send(classifier, good, request_, good)
    error = from_status(bad.error)
    assert bad.error.code == code, bad
    assert reason in (None, error.reason)
    assert error.violations[0].field == field
    (alone,) = send(classifier, good)
    for result in (before, after):
        expected = values(alone.explain.explanations[0].heatmap)
        np.testing.assert_allclose(values(result.explain.explanations[0].heatmap), expected, rtol=1e-4, atol=1e-6)


def test_a_layer_of_the_model_that_a_method_cannot_explain(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsuitable(*_: object) -> None:
        raise saliency.LayerError("layer 'trunk.0' did not run")

    monkeypatch.setattr(classifier.runner, "explain", unsuitable)
    (result,) = send(classifier, pb.ExplainRequest(image=png(), layers=["trunk.0"]))
    error = from_status(result.error)
    assert (result.error.code, error.reason) == (code_pb2.FAILED_PRECONDITION, "LAYER_UNSUITABLE")


def test_an_item_that_breaks_the_model_is_answered_and_isolated(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = classifier.runner.network.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        if (x[:, :, 0, 0] > 2.2).all(1).any():
            raise RuntimeError("secret internals")
        return whole(x)

    monkeypatch.setattr(classifier.runner.network, "forward", forward)
    file = io.BytesIO()
    Image.new("RGB", (64, 40), "white").save(file, "PNG")
    white = file.getvalue()
    good, bad, also_good = send(
        classifier, pb.PredictRequest(image=png()), pb.PredictRequest(image=white), pb.PredictRequest(image=png())
    )
    assert good.WhichOneof("result") == also_good.WhichOneof("result") == "predict"
    error = from_status(bad.error)
    assert bad.error.code == code_pb2.INTERNAL
    assert error.reason == "WORKER_FAILED"
    assert "secret" not in error.message


def test_the_card_tells_what_requests_may_say(classifier: Classifier) -> None:
    model = reply(classifier, wire.Pack(describe=wire.Describe()).SerializeToString()).model
    assert (model.name, model.version, model.task) == ("tiny", "1", pb.TASK_CLASSIFY)
    assert list(model.labels) == LABELS
    assert list(model.layers) == ["trunk.0", "trunk.1", "trunk"]
    assert list(model.default_layers) == ["trunk"]
    assert model.default_method == "grad-cam"
    assert model.weights == pb.WEIGHTS_TRAINED
    assert (model.input_size.height, model.input_size.width) == (32, 48)
    grad_cam = next(method for method in model.methods if method.id == "grad-cam")
    assert "gradcam" in grad_cam.aliases
    assert [option.name for option in grad_cam.options] == ["fusion"]


def test_masks_darken_towards_black(classifier: Classifier) -> None:
    request = pb.ExplainRequest(image=png(), targets=[_label("dog")], method="opti-cam")
    request.options.steps = 3
    (result,) = send(classifier, request)
    (explanation,) = result.explain.explanations
    assert explanation.steps_done == 3
    tensor = classifier.read(wire.Item(explain=request), arrival=0.0).picture.tensor[None]
    black = [-0.5 / 0.2, -0.4 / 0.25, -0.3 / 0.3]
    expected = explain(classifier.runner.network, tensor, [1], "opti-cam", "trunk", black=black, steps=3)
    np.testing.assert_allclose(values(explanation.heatmap), expected.maps[0], rtol=1e-4, atol=1e-6)
    unknown = explain(classifier.runner.network, tensor, [1], "opti-cam", "trunk", steps=3)
    assert not np.allclose(values(explanation.heatmap), unknown.maps[0], rtol=1e-4, atol=1e-6)


def test_a_budget_that_ends_a_method_is_said(classifier: Classifier) -> None:
    request = pb.ExplainRequest(image=png(), method="opti-cam")
    request.options.steps = 1000
    request.options.budget.FromMilliseconds(10)
    (result,) = send(classifier, request)
    (explanation,) = result.explain.explanations
    assert explanation.steps_done < 1000
    assert pb.WARNING_CODE_BUDGET_EXHAUSTED in [warning.code for warning in explanation.warnings]


def test_a_pack_that_cannot_be_read_is_answered(classifier: Classifier) -> None:
    assert from_status(reply(classifier, b"\xff\xff\xff").error).reason == "PACK_UNREADABLE"


def test_random_weights_are_said(folder: FolderFactory) -> None:
    classifier = Classifier(folder(weights={"random": True, "seed": 3}), CPU)
    again = Classifier(folder(weights={"random": True, "seed": 3}), CPU)
    assert torch.equal(*(c.runner.network.get_parameter("head.weight") for c in (classifier, again)))
    (result,) = send(classifier, pb.ExplainRequest(image=png()))
    assert [w.code for w in result.explain.explanations[0].warnings][-1] == pb.WARNING_CODE_RANDOM_WEIGHTS
    assert classifier.describe().weights == pb.WEIGHTS_RANDOM
