"""Captioners and answerers of transformers, served from an archive: packs in, maps out."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from camserve.v1 import explanation_pb2 as pb
from handlers.answer import AnswerHandler
from handlers.caption import CaptionHandler
from handlers.explainer import Explainer
from model_store.archive import build_archive
from tests.handlers.adapters.models import FAMILIES, GRID, LABELS, save
from tests.handlers.conftest import png
from tests.handlers.packs import assert_same, explained, predicted, send, values

CPU = torch.device("cpu")
TEXT, QUESTION = "a small red circle", "what colour is the square ?"
CAPTIONERS = ("blip captioner", "git", "vit-gpt2")


def _served(kind: str, folder: Path) -> Explainer[Any]:
    save(kind, folder / "model")
    file = folder / "model" / "recipe.yaml"
    recipe = yaml.safe_load(file.read_text())
    recipe["source"]["transformers"]["files"] = ["tokenizer.json", "tokenizer_config.json"]
    file.write_text(yaml.safe_dump(recipe))
    with zipfile.ZipFile(build_archive(folder / "model", folder)) as archive:
        archive.extractall(folder / "unpacked")
    handler = CaptionHandler if FAMILIES[kind].task == "caption" else AnswerHandler
    return handler.load(folder / "unpacked", CPU)


def _target(kind: str, text: str, *, words: bool = False) -> pb.Target:
    if FAMILIES[kind].task == "caption":
        return pb.Target(caption=pb.CaptionTarget(text=text, per_token=words))
    return pb.Target(answer=pb.AnswerTarget(question=QUESTION, answer=text))


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_is_served(kind: str, tmp_path: Path) -> None:
    served = _served(kind, tmp_path)
    given = "red" if FAMILIES[kind].task == "answer" else TEXT
    requests = [
        pb.ExplainRequest(image=png(), targets=[_target(kind, given)]),
        pb.ExplainRequest(image=png(seed=1), targets=[_target(kind, given)], method="score-cam"),
        pb.ExplainRequest(image=png(seed=2), targets=[_target(kind, "blue" if kind == "vilt" else "dog")]),
    ]
    for request, result in zip(requests, send(served, *requests), strict=True):
        assert_same(result.explain, explained(served, request))
        (explanation,) = result.explain.explanations
        assert values(explanation.heatmap).shape == GRID
        assert not explanation.target.caption.unknown_words
    methods = {method.id for method in served.describe().methods}
    assert {"grad-cam", "score-cam", "integrated-gradients"} < methods
    assert ("finer-cam" in methods) == (kind in ("vilt", "clip", "siglip"))


@pytest.mark.parametrize("kind", CAPTIONERS)
def test_words_of_several_tokens_are_one(kind: str, tmp_path: Path) -> None:
    served = _served(kind, tmp_path)
    request = pb.ExplainRequest(image=png(), targets=[_target(kind, "red circles, dog", words=True)])
    (explanation,) = explained(served, request).explanations
    assert "".join(token.text for token in explanation.tokens) == "redcircles,dog"
    assert "circles" in [token.text for token in explanation.tokens]
    assert sum(token.score for token in explanation.tokens) == pytest.approx(explanation.score, rel=1e-5)
    assert explanation.tokens[0].start == 0
    assert all(a.end == b.start for a, b in zip(explanation.tokens, explanation.tokens[1:], strict=False))


@pytest.mark.parametrize("kind", [*CAPTIONERS, "blip answerer"])
def test_what_the_model_says_has_the_score_of_a_target(kind: str, tmp_path: Path) -> None:
    served = _served(kind, tmp_path)
    response = explained(served, pb.ExplainRequest(image=png(), targets=[_target(kind, "")]))
    (prediction,) = response.predictions
    text = prediction.caption.text or prediction.answer.answer
    target = response.explanations[0].target
    assert text in (target.caption.text, target.answer.answer)
    score = prediction.caption.log_probability or np.log(prediction.answer.probability)
    assert response.explanations[0].score == pytest.approx(score, rel=1e-4)


def test_labels_come_of_the_configuration(tmp_path: Path) -> None:
    served = _served("vilt", tmp_path)
    assert tuple(served.describe().labels) == LABELS
    answers = predicted(served, pb.PredictRequest(image=png(), question=QUESTION)).predictions
    assert {prediction.answer.answer for prediction in answers} == set(LABELS)
