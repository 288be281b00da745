"""Answers in the model's own words, and captions that are compared: with the smallest networks that do so."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from camserve.v1 import explanation_pb2 as pb
from handlers.answer import AnswerHandler
from handlers.answerer import Answerer
from handlers.caption import CaptionHandler
from handlers.matcher import Matcher
from handlers.tokens import TokenScores
from tests.handlers.conftest import RECIPE, png
from tests.handlers.packs import assert_same, explained, predicted, refused, send, values

CPU = torch.device("cpu")
WORDS = ["is", "it", "big", "red", "blue", "a", "dog"]
MODEL = """
import torch
from torch import nn

from model_store.words import END, PAD, START


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, stride=8, padding=1), nn.ReLU())
        self.words = nn.Embedding(11, 8)

    def read(self, text):
        filled = (text != PAD)[..., None]
        return (self.words(text) * filled).sum(1) / filled.sum(1)


class Speaker(Base):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 11)

    def forward(self, images, question, tokens):
        before = torch.cat([torch.full_like(tokens[:, :1], START), tokens[:, :-1]], 1)
        context = self.trunk(images).mean((2, 3)) * (1 + self.read(question))
        return self.out(context[:, None] * (1 + self.words(before)).cumsum(1))

    def generate(self, images, question, length):
        tokens = torch.zeros(len(images), 0, dtype=torch.long)
        for _ in range(3):
            padded = torch.cat([tokens, torch.zeros(len(images), 1, dtype=torch.long)], 1)
            logits = self(images, question, padded)[:, -1]
            tokens = torch.cat([tokens, logits[:, 4:].argmax(1, keepdim=True) + 4], 1)
        return torch.cat([tokens, torch.full((len(images), 1), END)], 1)


class Pair(Base):
    def forward(self, images, tokens):
        return 5 * torch.cosine_similarity(self.trunk(images).mean((2, 3)), self.read(tokens))[:, None]
"""


def _folder(folder: Path, kind: str, task: str, **sections: Any) -> Path:
    (folder / "model.py").write_text(MODEL)
    (folder / "words.txt").write_text("\n".join(WORDS))
    recipe = {
        **RECIPE,
        "task": task,
        "source": {"python": {"file": "model.py", "factory": kind}},
        "weights": {"random": True},
        "vocabulary": "words.txt",
        "labels": None,
        **sections,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


@pytest.fixture
def answerer(tmp_path: Path) -> Answerer:
    servable = AnswerHandler.load(_folder(tmp_path, "Speaker", "answer"), CPU)
    assert isinstance(servable, Answerer)
    return servable


@pytest.fixture
def matcher(tmp_path: Path) -> Matcher:
    labels = ["a red dog", "a big dog", "blue"]
    servable = CaptionHandler.load(_folder(tmp_path, "Pair", "caption", labels=labels), CPU)
    assert isinstance(servable, Matcher)
    return servable


def _asked(question: str, answer: str = "", seed: int = 0) -> pb.ExplainRequest:
    target = pb.Target(answer=pb.AnswerTarget(question=question, answer=answer))
    return pb.ExplainRequest(image=png(seed=seed), targets=[target])


def _captions(*texts: str, **fields: Any) -> pb.ExplainRequest:
    return pb.ExplainRequest(
        image=png(), targets=[pb.Target(caption=pb.CaptionTarget(text=text)) for text in texts], **fields
    )


def test_an_answers_score_is_its_log_probability_given_the_question(answerer: Answerer) -> None:
    (explanation,) = explained(answerer, _asked("is it big?", "red dog")).explanations
    (other,) = explained(answerer, _asked("is it a dog?", "red dog")).explanations
    (first,) = explained(answerer, _asked("is it big?", "red")).explanations
    assert explanation.target.answer.answer == "red dog"
    assert explanation.score != pytest.approx(other.score, abs=1e-6)
    assert explanation.score < first.score  # a word more can only be less likely
    assert explanation.target.answer.probability == pytest.approx(torch.tensor(explanation.score).exp().item())
    assert values(explanation.heatmap).shape == (4, 6)


def test_an_empty_answer_is_the_models_own(answerer: Answerer) -> None:
    response = explained(answerer, _asked("is it big?"))
    (prediction,) = response.predictions
    assert not prediction.answer.HasField("logit")
    assert response.explanations[0].target.answer.answer == prediction.answer.answer != ""
    assert response.explanations[0].target.answer.probability == pytest.approx(prediction.answer.probability)
    asked = pb.PredictRequest(image=png(), question="is it big?")
    assert predicted(answerer, asked).predictions[0].answer == prediction.answer


def test_unknown_words_of_question_and_answer_are_reported(answerer: Answerer) -> None:
    (explanation,) = explained(answerer, _asked("is it green?", "a green cat")).explanations
    assert list(explanation.target.answer.unknown_words) == ["green", "cat"]


def test_a_pack_of_answers_gives_what_lone_requests_give(answerer: Answerer) -> None:
    long = "is it a red dog is it a blue dog is it big"
    requests = [_asked("is it?", "big", 1), _asked(long, "a big red dog", 2), _asked("is it big?", seed=3)]
    for request, result in zip(requests, send(answerer, *requests), strict=True):
        assert_same(result.explain, explained(answerer, request))


def test_a_similarity_is_a_captions_score(matcher: Matcher) -> None:
    response = explained(matcher, _captions("a big dog", "red red red red red red red red red"))
    ranked = [p.caption for p in response.predictions]
    scores = {
        e.target.caption.text: e.score for e in explained(matcher, _captions(*[c.text for c in ranked])).explanations
    }
    shares = torch.tensor([scores[caption.text] for caption in ranked]).log_softmax(0)
    assert shares.tolist() == sorted(shares.tolist(), reverse=True)
    assert [c.log_probability for c in ranked] == pytest.approx(shares.tolist(), abs=1e-5)
    assert response.explanations[0].score == pytest.approx(scores["a big dog"], abs=1e-5)
    best = explained(matcher, _captions("")).explanations[0]
    assert best.target.caption.text == ranked[0].text
    assert [p.caption for p in predicted(matcher, pb.PredictRequest(image=png(), top_k=2)).predictions] == ranked[:2]


def test_a_matcher_without_candidates_needs_a_caption(tmp_path: Path) -> None:
    matcher = CaptionHandler.load(_folder(tmp_path, "Pair", "caption"), CPU)
    error = refused(matcher, _captions(""))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "CAPTION_REQUIRED")
    assert "targets[].caption.text" in error.message
    response = explained(matcher, _captions("a dog"))
    assert not response.predictions
    assert not predicted(matcher, pb.PredictRequest(image=png())).predictions


def test_a_matcher_has_no_maps_of_words(matcher: Matcher) -> None:
    request = pb.ExplainRequest(
        image=png(), targets=[pb.Target(caption=pb.CaptionTarget(text="a dog", per_token=True))]
    )
    error = refused(matcher, request)
    assert (error.reason, error.violations[0].field) == ("PER_TOKEN_NOT_APPLICABLE", "targets[0].caption.per_token")


def test_a_matcher_has_no_probability_by_which_maps_could_be_measured(matcher: Matcher) -> None:
    error = refused(matcher, _captions("a dog", faithfulness=True))
    assert (error.code.name, error.reason) == ("FAILED_PRECONDITION", "FAITHFULNESS_UNSUITABLE")
    assert error.violations[0].field == "faithfulness"


def test_a_generated_answers_map_is_measured(answerer: Answerer) -> None:
    request = _asked("is it big?", "red dog")
    request.faithfulness = True
    (explanation,) = explained(answerer, request).explanations
    assert explanation.HasField("faithfulness")
    assert 0 <= explanation.faithfulness.deletion_auc <= 1


class Halves(nn.Module):
    """Logits in half precision, whose log-probabilities would not be what they are in it."""

    def forward(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return torch.arange(6, dtype=torch.float16).expand(*tokens.shape, 6) * images.mean().half()


def test_log_probabilities_are_taken_in_float32_at_least() -> None:
    tokens = torch.tensor([[5, 0]])
    scores = TokenScores(Halves().eval())(tokens=tokens, images=torch.ones(1, 3, 2, 2))
    expected = torch.arange(6, dtype=torch.float64).log_softmax(0)[[5, 0]]
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores[0, :, 0].double(), expected, rtol=1e-6, atol=1e-6)
