"""The answerer that chooses among labels, through packs as the gateway sends them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.answer import AnswerHandler
from handlers.chooser import Chooser
from handlers.network import load_network
from model_store.recipe import RecipeError, load_recipe
from model_store.scenes.vocabulary import ANSWERS, QUESTION_WORDS
from model_store.words import Words
from tests.handlers.conftest import png, scenes_folder
from tests.handlers.packs import assert_same, encoder_runs, explained, predicted, refused, send, values

CPU = torch.device("cpu")
COLOUR, COUNT = "what colour is the circle?", "how many stars are there?"


@pytest.fixture(scope="module")
def chooser(tmp_path_factory: pytest.TempPathFactory) -> Chooser:
    servable = AnswerHandler.load(scenes_folder("scenes-vqa", tmp_path_factory.mktemp("store") / "one"), CPU)
    assert isinstance(servable, Chooser)
    return servable


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """The same network by itself, in float64."""
    folder = scenes_folder("scenes-vqa", tmp_path_factory.mktemp("store") / "one")
    return load_network(load_recipe(folder), folder, CPU).double()


def _target(question: str, answer: str = "") -> pb.Target:
    return pb.Target(answer=pb.AnswerTarget(question=question, answer=answer))


def _request(*asked: tuple[str, ...], seed: int = 0, **fields: Any) -> pb.ExplainRequest:
    return pb.ExplainRequest(image=png(seed=seed), targets=[_target(*each) for each in asked], **fields)


def _logits(chooser: Chooser, network: nn.Module, question: str) -> tuple[Tensor, Tensor]:
    """All answers' logits, and the features they were read from, with the whole graph."""
    item = wire.Item(predict=pb.PredictRequest(image=png(), question=question))
    image = chooser.read(item, arrival=0.0).picture.tensor[None].double().requires_grad_()
    words = Words(QUESTION_WORDS)
    seen: list[Tensor] = []
    handle = network.get_submodule("encoder.join").register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits = network(image, torch.tensor([words.encode(words.split(question))]))[0]
    handle.remove()
    return logits, seen[0]


def _grad_cam(score: Tensor, features: Tensor) -> np.ndarray:
    (gradient,) = torch.autograd.grad(score, features, retain_graph=True)
    return (gradient.mean((2, 3), keepdim=True) * features).sum(1).clamp_min(0)[0].detach().numpy()


@pytest.mark.parametrize("polarity", [pb.POLARITY_SUPPORT, pb.POLARITY_COUNTER])
def test_answers_are_explained_as_by_a_plain_graph_in_float64(
    chooser: Chooser, network: nn.Module, polarity: "pb.Polarity.ValueType"
) -> None:
    response = explained(chooser, _request((COLOUR, "Red"), (COUNT, "two"), (COLOUR, ""), polarity=polarity))
    for explanation, (question, answer) in zip(
        response.explanations, [(COLOUR, "red"), (COUNT, "two"), (COLOUR, None)], strict=True
    ):
        logits, features = _logits(chooser, network, question)
        index = int(logits.argmax()) if answer is None else ANSWERS.index(answer)
        target = explanation.target.answer
        assert (target.question, target.answer) == (question, ANSWERS[index])
        assert explanation.target.polarity == polarity
        assert target.probability == pytest.approx((logits.exp() / logits.exp().sum())[index].item(), rel=1e-5)
        assert explanation.score == pytest.approx(logits[index].item(), rel=1e-4, abs=1e-6)
        expected = _grad_cam(logits[index] if polarity == pb.POLARITY_SUPPORT else -logits[index], features)
        np.testing.assert_allclose(values(explanation.heatmap), expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_predictions_are_the_best_answers_to_each_question(chooser: Chooser, network: nn.Module) -> None:
    response = explained(chooser, _request((COLOUR,), (COUNT,), (COLOUR, "red")))
    assert [p.answer.question for p in response.predictions] == [COLOUR] * 5 + [COUNT] * 5
    logits = _logits(chooser, network, COUNT)[0].detach()
    best = logits.argsort(descending=True)[:3].tolist()
    answers = [p.answer for p in predicted(chooser, _predict(COUNT, top_k=3)).predictions]
    assert [a.answer for a in answers] == [ANSWERS[index] for index in best]
    np.testing.assert_allclose([a.logit for a in answers], logits[best], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose([a.probability for a in answers], logits.softmax(0)[best], rtol=1e-5)
    assert [a.answer for a in answers] == [p.answer.answer for p in response.predictions[5:8]]


def _predict(question: str, top_k: int | None = None) -> pb.PredictRequest:
    return pb.PredictRequest(image=png(), question=question, top_k=top_k)


def test_a_pack_gives_what_lone_requests_give(chooser: Chooser) -> None:
    requests = [
        _request((COLOUR,), seed=1),
        _request(("is the small red circle left of the large blue square or of the ring?", "yes"), (COUNT,), seed=2),
        _request(("star?",), seed=3),
        _request((COLOUR,), method="recipro-cam", seed=4),
    ]
    for request, result in zip(requests, send(chooser, *requests), strict=True):
        assert_same(result.explain, explained(chooser, request))


@pytest.fixture
def runs(chooser: Chooser) -> Iterator[list[int]]:
    with encoder_runs(chooser) as noted:
        yield noted


def test_a_pack_runs_the_model_once_for_each_question(chooser: Chooser, runs: list[int]) -> None:
    send(chooser, _request((COLOUR, "red"), (COLOUR, "blue"), (COUNT,)), _request((COLOUR,), seed=1))
    assert runs == [3]


def test_unknown_words_of_the_question_are_reported(chooser: Chooser) -> None:
    (explanation,) = explained(chooser, _request(("what colour is the Zeppelin?",))).explanations
    assert list(explanation.target.answer.unknown_words) == ["zeppelin"]
    assert pb.WARNING_CODE_UNKNOWN_WORDS in [warning.code for warning in explanation.warnings]


@pytest.mark.parametrize(
    ("target", "reason", "field"),
    [
        (_target(COLOUR, "rad"), "LABEL_UNKNOWN", "targets[0].answer.answer"),
        (_target("?"), "TEXT_WITHOUT_WORDS", "targets[0].answer.question"),
        (pb.Target(caption=pb.CaptionTarget(text="a circle")), "TARGET_KIND_MISMATCH", "targets[0]"),
    ],
)
def test_what_means_nothing_to_it_is_refused(chooser: Chooser, target: pb.Target, reason: str, field: str) -> None:
    error = refused(chooser, pb.ExplainRequest(image=png(), targets=[target]))
    assert (error.reason, error.violations[0].field) == (reason, field)
    if reason == "LABEL_UNKNOWN":
        assert "red" in error.message
    assert refused(chooser, _predict("?")).violations[0].field == "question"


def test_labels_must_fit_the_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = scenes_folder("scenes-vqa", tmp_path_factory.mktemp("store") / "one")
    recipe = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(recipe.replace("- zero\n", ""))
    with pytest.raises(RecipeError, match="labels: there are 26, but the network chooses among 27"):
        AnswerHandler.load(folder, CPU)


def test_the_card_lists_answers_and_methods(chooser: Chooser) -> None:
    model = chooser.describe()
    assert model.task == pb.TASK_ANSWER
    assert tuple(model.labels) == ANSWERS
    assert {"grad-cam", "finer-cam", "score-cam", "recipro-cam", "full-grad"} <= {m.id for m in model.methods}
