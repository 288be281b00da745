"""The captioner, through packs as the gateway sends them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.caption import CaptionHandler
from handlers.captioner import Captioner
from handlers.network import load_network
from model_store.recipe import load_recipe
from model_store.scenes.vocabulary import CAPTION_WORDS
from model_store.words import END, UNKNOWN, Words
from tests.handlers.conftest import png, scenes_folder
from tests.handlers.packs import assert_same, encoder_runs, explained, predicted, refused, send, values

CPU = torch.device("cpu")
TEXT = "a small red circle above a large blue square"


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Captioner:
    servable = CaptionHandler.load(scenes_folder("scenes-captioner", tmp_path_factory.mktemp("store") / "one"), CPU)
    assert isinstance(servable, Captioner)
    return servable


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """The same network by itself, in float64."""
    folder = scenes_folder("scenes-captioner", tmp_path_factory.mktemp("store") / "one")
    return load_network(load_recipe(folder), folder, CPU).double()


def _request(*texts: str, seed: int = 0, words: bool = False, **fields: Any) -> pb.ExplainRequest:
    targets = [pb.Target(caption=pb.CaptionTarget(text=text, per_token=words)) for text in texts]
    return pb.ExplainRequest(image=png(seed=seed), targets=targets, **fields)


def _image(captioner: Captioner, seed: int = 0) -> Tensor:
    return (
        captioner.read(wire.Item(predict=pb.PredictRequest(image=png(seed=seed))), arrival=0.0)
        .picture.tensor[None]
        .double()
    )


def _scores(network: nn.Module, image: Tensor, text: str) -> tuple[Tensor, Tensor]:
    """Each word's log-probability under teacher forcing, and the features it was read from, with the whole graph."""
    tokens = torch.tensor([Words(CAPTION_WORDS).encode(text.lower().split())])
    seen: list[Tensor] = []
    handle = network.get_submodule("encoder.join").register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits = network(image.requires_grad_(), tokens)[0]
    handle.remove()
    probabilities = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return probabilities[torch.arange(tokens.shape[1]), tokens[0]].log(), seen[0]


def _grad_cam(score: Tensor, features: Tensor) -> np.ndarray:
    (gradient,) = torch.autograd.grad(score, features, retain_graph=True)
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * features).sum(1).clamp_min(0)[0].detach().numpy()


def test_a_caption_is_explained_as_by_a_plain_graph_in_float64(captioner: Captioner, network: nn.Module) -> None:
    (explanation,) = explained(captioner, _request(TEXT, words=True)).explanations
    scores, features = _scores(network, _image(captioner), TEXT)
    assert explanation.score == pytest.approx(scores.sum().item(), rel=1e-5)
    expected = _grad_cam(scores.sum(), features)
    np.testing.assert_allclose(values(explanation.heatmap), expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert [(t.text, t.start, t.end) for t in explanation.tokens] == [
        (word, place, place + 1) for place, word in enumerate(TEXT.split())
    ]
    for token, score in zip(explanation.tokens, scores, strict=True):
        assert token.score == pytest.approx(score.item(), rel=1e-5)
        expected = _grad_cam(score, features)
        np.testing.assert_allclose(values(token.heatmap), expected, rtol=1e-3, atol=1e-4 * max(expected.max(), 1e-9))


def test_the_words_scores_sum_to_the_captions(captioner: Captioner) -> None:
    for text in (TEXT, ""):
        (explanation,) = explained(captioner, _request(text, words=True)).explanations
        assert sum(token.score for token in explanation.tokens) == pytest.approx(explanation.score, rel=1e-6)


def test_an_empty_text_is_what_the_model_says(captioner: Captioner, network: nn.Module) -> None:
    response = explained(captioner, _request(""))
    (prediction,) = response.predictions
    said = prediction.caption
    assert said == predicted(captioner, pb.PredictRequest(image=png())).predictions[0].caption
    assert said == explained(captioner, pb.ExplainRequest(image=png())).predictions[0].caption
    assert response.explanations[0].target.caption.text == said.text
    assert response.explanations[0].score == pytest.approx(said.log_probability, rel=1e-5)
    scores, _ = _scores(network, _image(captioner), said.text)
    assert said.log_probability == pytest.approx(scores.sum().item(), rel=1e-5)
    generated = network.generate(_image(captioner), 32)[0].tolist()
    assert said.text == " ".join(Words(CAPTION_WORDS).decode(generated[: (*generated, END).index(END)]))


def test_what_speaks_against_a_caption(captioner: Captioner, network: nn.Module) -> None:
    (explanation,) = explained(captioner, _request(TEXT, words=True, polarity=pb.POLARITY_COUNTER)).explanations
    scores, features = _scores(network, _image(captioner), TEXT)
    assert explanation.target.polarity == pb.POLARITY_COUNTER
    assert explanation.score == pytest.approx(scores.sum().item(), rel=1e-5)
    assert explanation.tokens[2].score == pytest.approx(scores[2].item(), rel=1e-5)
    expected = _grad_cam(-scores.sum(), features)
    np.testing.assert_allclose(values(explanation.heatmap), expected, rtol=1e-3, atol=1e-4 * max(expected.max(), 1e-9))


def test_unknown_words_are_read_as_one_and_reported(captioner: Captioner) -> None:
    (explanation,) = explained(captioner, _request("a red Zebra above 一只 猫, a zebra")).explanations
    (same,) = explained(captioner, _request("a red foo above bar baz a qux")).explanations
    assert list(explanation.target.caption.unknown_words) == ["zebra", "一只", "猫"]
    assert explanation.target.caption.text == "a red Zebra above 一只 猫, a zebra"
    assert explanation.score == same.score
    (warning,) = [w for w in explanation.warnings if w.code == pb.WARNING_CODE_UNKNOWN_WORDS]
    assert warning.message.endswith("zebra, 一只, 猫")
    (known,) = explained(captioner, _request(TEXT)).explanations
    assert pb.WARNING_CODE_UNKNOWN_WORDS not in [w.code for w in known.warnings]


def test_a_pack_gives_what_lone_requests_give(captioner: Captioner) -> None:
    requests = [
        _request("a red circle", "a large blue square left of a small green star and a ring", seed=1),
        _request(TEXT, words=True, seed=2),
        _request("", seed=3),
        _request("star", words=True, seed=4),
        _request(TEXT, method="score-cam", options=pb.MethodOptions(max_channels=4), seed=5),
    ]
    for request, result in zip(requests, send(captioner, *requests), strict=True):
        assert_same(result.explain, explained(captioner, request))


@pytest.fixture
def runs(captioner: Captioner) -> Iterator[list[int]]:
    for text in (TEXT, ""):
        explained(captioner, _request(text))  # texts of a new length are looked at first
    with encoder_runs(captioner) as noted:
        yield noted


def test_all_words_come_of_one_run_of_the_encoder(captioner: Captioner, runs: list[int]) -> None:
    explained(captioner, _request(TEXT, words=True))
    assert runs == [1, 1, 1]  # what the model says, how likely that is, and the explanation


def test_what_the_model_says_itself_is_scored_by_its_explanation(captioner: Captioner, runs: list[int]) -> None:
    found = explained(captioner, _request("", words=True))
    assert runs == [1, 1]  # what the model says, and the explanation
    counter = explained(captioner, _request("", words=True, polarity=pb.POLARITY_COUNTER))
    alone = predicted(captioner, pb.PredictRequest(image=_request("").image)).predictions[0].caption
    for response in (found, counter):
        (prediction,) = response.predictions
        assert prediction.caption.text == alone.text
        assert prediction.caption.log_probability == pytest.approx(alone.log_probability, abs=1e-4)


def test_a_pack_runs_the_model_once_for_all(captioner: Captioner, runs: list[int]) -> None:
    send(captioner, *[_request(TEXT, seed=seed) for seed in range(5)])
    assert runs == [5, 5, 5]


@pytest.mark.parametrize(
    ("target", "reason", "field"),
    [
        (pb.Target(class_target=pb.ClassTarget(index=1)), "TARGET_KIND_MISMATCH", "targets[1]"),
        (pb.Target(answer=pb.AnswerTarget(question="what?")), "TARGET_KIND_MISMATCH", "targets[1]"),
        (pb.Target(), "TARGET_KIND_MISMATCH", "targets[1]"),
        (pb.Target(caption=pb.CaptionTarget(text="?!")), "TEXT_WITHOUT_WORDS", "targets[1].caption.text"),
    ],
)
def test_a_target_that_says_nothing_to_it_is_refused(
    captioner: Captioner, target: pb.Target, reason: str, field: str
) -> None:
    request = _request(TEXT)
    request.targets.append(target)
    error = refused(captioner, request)
    assert (error.reason, error.violations[0].field) == (reason, field)


def test_a_model_that_says_nothing_has_no_caption_to_explain(
    captioner: Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captioner._network, "generate", lambda images, length: torch.full((len(images), 1), END))
    assert predicted(captioner, pb.PredictRequest(image=png())).predictions[0].caption == pb.CaptionPrediction()
    empty, given = send(captioner, _request(""), _request(TEXT))
    assert "TEXT_EMPTY" in str(empty.error)
    assert given.explain.explanations[0].target.caption.text == TEXT


def test_generated_words_that_the_model_cannot_name_are_left_out(captioner: Captioner) -> None:
    text = captioner.tokenizer.write([7, UNKNOWN, 8, END, 9])
    assert text.tokens == (7, 8)
    assert text.text == " ".join(Words(CAPTION_WORDS).decode([7, 8]))


def test_the_card_lists_methods_of_every_family(captioner: Captioner) -> None:
    model = captioner.describe()
    methods = {method.id for method in model.methods}
    assert model.task == pb.TASK_CAPTION
    assert list(model.default_layers) == ["encoder.join"]
    assert {"grad-cam", "eigen-cam", "score-cam", "recipro-cam", "integrated-gradients", "full-grad"} <= methods
    assert not {"cam", "finer-cam"} & methods  # they need scores of classes
    error = refused(captioner, _request(TEXT, method="finer-cam"))
    assert error.reason == "METHOD_UNSUITABLE"
    assert "class" in error.message


@pytest.mark.parametrize("method", ["ablation-cam", "recipro-cam", "score-cam", "full-grad", "smooth-grad-cam++"])
def test_methods_of_many_runs_explain_words_too(captioner: Captioner, method: str) -> None:
    options = pb.MethodOptions(max_channels=8) if method == "score-cam" else None
    request = _request("a red circle", words=True, method=method, options=options)
    (explanation,) = explained(captioner, request).explanations
    assert len(explanation.tokens) == 3
    assert all(np.isfinite(values(token.heatmap)).all() for token in explanation.tokens)
