"""Requests whose maps are measured, through packs as the gateway sends them."""

from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import torch
from google.protobuf.duration_pb2 import Duration
from torch import Tensor
from torch.nn import functional as F

import saliency
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.answer import AnswerHandler
from handlers.caption import CaptionHandler
from handlers.classifier import Classifier
from handlers.explainer import Explainer
from handlers.rows import Row
from model_store.scenes.vocabulary import ANSWERS, CAPTION_WORDS, QUESTION_WORDS
from model_store.words import Words
from tests.handlers.conftest import MODEL, FolderFactory, png, scenes_folder
from tests.handlers.figures import assert_figures, loop
from tests.handlers.packs import assert_same, explained, reply, send, values, watched

CPU = torch.device("cpu")


@pytest.fixture
def classifier(folder: FolderFactory) -> Classifier:
    return Classifier(folder(), CPU)


def _tensor(servable: Explainer[Any], request: pb.ExplainRequest) -> Tensor:
    return servable.read(wire.Item(explain=request), arrival=0.0).picture.tensor


def _black(servable: Explainer[Any]) -> list[float]:
    normalisation = servable.recipe.preprocessing
    return [-mean / std for mean, std in zip(normalisation.mean, normalisation.std, strict=True)]


def _class(index: int) -> pb.Target:
    return pb.Target(class_target=pb.ClassTarget(index=index))


def _request(*targets: pb.Target, seed: int = 0, **fields: Any) -> pb.ExplainRequest:
    return pb.ExplainRequest(image=png(seed=seed), targets=targets, faithfulness=True, **fields)


@pytest.mark.parametrize("polarity", [pb.POLARITY_SUPPORT, pb.POLARITY_COUNTER])
def test_a_classifiers_maps_are_measured(classifier: Classifier, polarity: "pb.Polarity.ValueType") -> None:
    request = _request(_class(1), _class(3), polarity=polarity)
    response = explained(classifier, request)
    network = classifier.runner.network.double()
    for explanation, index in zip(response.explanations, (1, 3), strict=True):

        def p(image: Tensor, index: int = index) -> float:
            probability = network(image[None]).softmax(1)[0, index].item()
            return probability if polarity == pb.POLARITY_SUPPORT else 1 - probability

        heat = torch.tensor(values(explanation.heatmap))
        assert_figures(explanation.faithfulness, loop(p, _tensor(classifier, request), heat, _black(classifier)))


WALLED = MODEL.replace("3, stride=4, padding=1", "12, stride=4, padding=4").replace("(x).mean", "(x)[:, :, :4].mean")
"""Reads 4 of its 8 rows of cells, which see rows 0 to 19 of the 32 of the image."""


def test_what_lies_behind_a_wall_is_unseen(folder: FolderFactory) -> None:
    path = folder(weights={"random": True, "seed": 3})
    (path / "model.py").write_text(WALLED)
    walled = Classifier(path, CPU)
    shares = {}
    for method in ("grad-cam", "hires-cam", "layer-cam", "input-gradient"):
        (explanation,) = explained(walled, _request(_class(0), method=method)).explanations
        heat = torch.tensor(values(explanation.heatmap))
        resized = F.interpolate(heat[None, None], size=(32, 48), mode="bilinear")[0, 0].abs()
        shares[method] = explanation.faithfulness.unseen_share
        assert shares[method] == pytest.approx((resized[20:].sum() / resized.sum()).item(), abs=1e-6)
    assert shares.pop("grad-cam") > 0.2
    assert set(shares.values()) == {0.0}


TEXT = "a small red circle"


def test_a_captions_map_is_measured_and_those_of_its_words_are_not(tmp_path: Path) -> None:
    captioner = CaptionHandler.load(scenes_folder("scenes-captioner", tmp_path / "one"), CPU)
    request = _request(pb.Target(caption=pb.CaptionTarget(text=TEXT, per_token=True)))
    (explanation,) = explained(captioner, request).explanations
    network = captioner._network.double()
    ids = torch.tensor([Words(CAPTION_WORDS).encode(TEXT.split())])

    def p(image: Tensor) -> float:
        probabilities = network(image[None], ids)[0].softmax(-1)[range(4), ids[0]]
        return probabilities.prod().item() ** (1 / 4)

    heat = torch.tensor(values(explanation.heatmap))
    assert_figures(explanation.faithfulness, loop(p, _tensor(captioner, request), heat, _black(captioner)))
    assert explanation.faithfulness.unseen_share < 0.01
    assert len(explanation.tokens) == 4


def test_answers_maps_are_measured(tmp_path: Path) -> None:
    chooser = AnswerHandler.load(scenes_folder("scenes-vqa", tmp_path / "one"), CPU)
    asked = [("what colour is the circle?", "red"), ("how many stars?", "two"), ("what colour is the circle?", "blue")]
    targets = [pb.Target(answer=pb.AnswerTarget(question=question, answer=answer)) for question, answer in asked]
    request = _request(*targets)
    response = explained(chooser, request)
    network = chooser.runner.network.double()
    words = Words(QUESTION_WORDS)
    for explanation, (question, answer) in zip(response.explanations, asked, strict=True):
        ids = torch.tensor([words.encode(words.split(question))])

        def p(image: Tensor, ids: Tensor = ids, answer: str = answer) -> float:
            return network(image[None], ids)[0].softmax(0)[ANSWERS.index(answer)].item()

        heat = torch.tensor(values(explanation.heatmap))
        assert_figures(explanation.faithfulness, loop(p, _tensor(chooser, request), heat, _black(chooser)))


def test_a_pack_with_and_without_figures_gives_what_lone_requests_give(classifier: Classifier) -> None:
    requests = [
        _request(_class(0), seed=1),
        pb.ExplainRequest(image=png(seed=2), targets=[_class(1)]),
        _request(_class(2), _class(3), _class(0), seed=3),
        _request(_class(2), method="score-cam", seed=4),
    ]
    for request, result in zip(requests, send(classifier, *requests), strict=True):
        assert_same(result.explain, explained(classifier, request))
        assert [each.HasField("faithfulness") for each in result.explain.explanations] == [request.faithfulness] * len(
            request.targets
        )


def test_measuring_changes_no_map(classifier: Classifier) -> None:
    measured, plain = (
        explained(classifier, pb.ExplainRequest(image=png(), faithfulness=wanted)).explanations[0]
        for wanted in (True, False)
    )
    assert measured.heatmap == plain.heatmap
    assert not plain.HasField("faithfulness")
    assert all(parameter.grad is None for parameter in classifier.runner.network.parameters())


def _by(classifier: Classifier, request: pb.ExplainRequest, seconds: float) -> pb.Explanation:
    left = Duration()
    left.FromNanoseconds(round(seconds * 1e9))
    items = wire.Items(items=[wire.Item(explain=request, time_left=left)])
    (result,) = reply(classifier, wire.Pack(items=items).SerializeToString()).items.results
    return result.explain.explanations[0]


def _unmeasured(explanation: pb.Explanation) -> bool:
    said = pb.WARNING_CODE_NOT_MEASURED in [warning.code for warning in explanation.warnings]
    assert said != explanation.HasField("faithfulness")
    return said


@pytest.mark.parametrize("method", ["grad-cam", "opti-cam"])
def test_without_time_the_map_comes_unmeasured(classifier: Classifier, method: str) -> None:
    explanation = _by(classifier, _request(_class(0), method=method), 0.0)
    assert _unmeasured(explanation)
    assert explanation.heatmap.height
    assert not _unmeasured(_by(classifier, _request(_class(0), method="grad-cam"), 100.0))


@pytest.mark.parametrize(("faithfulness", "budget"), [(True, 5.0), (False, 10.0)])
def test_a_method_with_a_budget_leaves_half_of_the_time(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, faithfulness: bool, budget: float
) -> None:
    monkeypatch.setattr("handlers.rows.monotonic", lambda: 20.0)
    given: list[float] = []

    def explain(*arguments: Any, **options: Any) -> saliency.Explanation:
        given.append(options["budget"])
        return whole(*arguments, **options)

    whole = saliency.explain
    monkeypatch.setattr(saliency, "explain", explain)
    item = wire.Item(explain=_request(_class(0), method="opti-cam", options=pb.MethodOptions(steps=1)))
    job = classifier.read(item, arrival=0.0)
    assert job.how is not None
    how = replace(job.how, until=30.0, probabilities=job.how.probabilities if faithfulness else None)
    classifier.runner.explain(how, [Row(job.picture.tensor, job.asked, places=[0])])
    assert given == [budget]


def test_those_in_a_hurry_are_measured_apart(classifier: Classifier) -> None:
    def group(faithfulness: bool, seconds: int) -> Any:
        item = wire.Item(explain=pb.ExplainRequest(image=png(), faithfulness=faithfulness))
        item.time_left.FromSeconds(seconds)
        return classifier.read(item, arrival=0.0).group

    assert group(True, 1) != group(True, 100) == group(True, 90)
    assert group(False, 1) == group(False, 100) != group(True, 100)


def test_a_watched_request_is_measured_within_the_silence_that_torchserve_bears(
    folder: FolderFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = Classifier(folder(worker={"response_timeout_s": 1}), CPU)
    work = wire.Watched(item=wire.Item(explain=_request(_class(0))))
    (_, result) = watched(patient, work)
    assert not _unmeasured(result.explain.explanations[0])
    ahead = monotonic() + 100
    monkeypatch.setattr("handlers.faithfulness.monotonic", lambda: ahead)
    (_, result) = watched(patient, work)
    assert _unmeasured(result.explain.explanations[0])
