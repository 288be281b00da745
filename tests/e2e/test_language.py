"""Captions and answers as targets, through the whole service."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camserve import AsyncExplanationClient, ExplanationClient, answer, caption
from camserve.cli import main
from camserve.errors import CamserveError, InvalidArgumentError
from camserve.v1 import explanation_pb2 as pb
from gateway.launcher.server import Server
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw
from model_store.scenes.vocabulary import ANSWERS

CAPTIONER, ANSWERER, CLASSIFIER = "scenes-captioner", "scenes-vqa", "scenes-classifier"
TEXT = "a medium red circle right of a medium green star"
QUESTION = "what colour is the star?"


@pytest.fixture(scope="module")
def client(scenes: Server) -> Iterator[ExplanationClient]:
    with ExplanationClient(scenes.address) as client:
        yield client


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    Image.fromarray(draw(dict(demo_scenes())["star-and-circle"], 320, 240)).save(path)
    return path


def test_a_model_of_each_task_is_served(client: ExplanationClient) -> None:
    models = {model.task: model for model in client.models()}
    assert {task: model.name for task, model in models.items()} == {
        "classify": CLASSIFIER,
        "caption": CAPTIONER,
        "answer": ANSWERER,
    }
    assert models["answer"].labels == ANSWERS
    assert models["caption"].default_layers == ("encoder.join",)
    assert client.models("caption") == (models["caption"],)


def test_a_caption_and_its_words(client: ExplanationClient, picture: Path) -> None:
    result = client.explain(picture, model=CAPTIONER, target=caption(TEXT, per_token=True))
    explanation = result.explanation
    assert explanation.target.label == TEXT
    assert [token.text for token in explanation.tokens] == TEXT.split()
    assert sum(token.score for token in explanation.tokens) == pytest.approx(explanation.score, rel=1e-5)
    assert all(token.heatmap.values.shape == (14, 14) for token in explanation.tokens)
    maps = np.stack([token.heatmap.values.ravel() for token in explanation.tokens])
    assert len(np.unique(maps.round(6), axis=0)) > 2
    assert explanation.words_sheet().width > 224


def test_no_text_is_what_the_model_says(client: ExplanationClient, picture: Path) -> None:
    said = client.predict(picture, model=CAPTIONER).prediction
    result = client.explain(picture, model=CAPTIONER)
    assert (result.prediction.label, result.explanation.target.label) == (said.label, said.label)
    assert result.prediction.score == pytest.approx(said.score, rel=1e-4)
    assert result.explanation.score == pytest.approx(said.score, rel=1e-4)
    asked = client.predict(picture, model=ANSWERER, question=QUESTION, top_k=3).predictions
    result = client.explain(picture, model=ANSWERER, target=answer(QUESTION))
    assert [p.label for p in result.predictions[:3]] == [p.label for p in asked]
    assert result.explanation.target.label == asked[0].label
    assert result.explanation.target.probability == pytest.approx(asked[0].probability, rel=1e-4)


def test_two_answers_to_one_question(client: ExplanationClient, picture: Path) -> None:
    result = client.explain(picture, model=ANSWERER, targets=[answer(QUESTION, "green"), answer(QUESTION, "RED")])
    assert [e.target.label for e in result.explanations] == ["green", "red"]
    against = client.explain(picture, model=ANSWERER, target=answer(QUESTION, "green"), polarity="counter")
    assert against.explanation.score == pytest.approx(result.explanations[0].score, rel=1e-4)
    assert against.explanation.target.polarity == "counter"
    a, b = result.explanations[0].heatmap.values.ravel(), against.explanation.heatmap.values.ravel()
    assert not ((a > 0) & (b > 0)).any()  # what speaks for it does not speak against it


def test_many_texts_at_once_are_each_their_own(scenes: Server, picture: Path) -> None:
    words = TEXT.split()
    texts = [" ".join(words[: 1 + i % len(words)]) for i in range(24)]

    async def ask_all() -> list[float]:
        async with AsyncExplanationClient(scenes.address, timeout=60) as client:
            calls = [client.explain(picture, model=CAPTIONER, target=caption(text)) for text in texts]
            return [result.explanation.score for result in await asyncio.gather(*calls)]

    scores = dict(zip(texts, asyncio.run(ask_all()), strict=True))
    with ExplanationClient(scenes.address) as client:
        for text in texts[: len(words)]:
            alone = client.explain(picture, model=CAPTIONER, target=caption(text)).explanation
            assert scores[text] == pytest.approx(alone.score, rel=1e-4)


def test_another_script_goes_to_the_tokenizer(client: ExplanationClient, picture: Path) -> None:
    explanation = client.explain(picture, model=CAPTIONER, target=caption("a 红色 circle")).explanation
    assert explanation.target.unknown_words == ("红色",)
    assert "unknown_words" in [warning.code for warning in explanation.warnings]


@pytest.mark.parametrize("method", ["eigen-cam", "score-cam", "recipro-cam", "integrated-gradients", "full-grad"])
def test_methods_of_every_family_explain_text(client: ExplanationClient, picture: Path, method: str) -> None:
    for model, target in ((CAPTIONER, caption("a red circle", per_token=True)), (ANSWERER, answer(QUESTION, "green"))):
        explanation = client.explain(picture, model=model, target=target, method=method, timeout=120).explanation
        assert explanation.method == method
        assert np.isfinite(explanation.heatmap.values).all()


@pytest.mark.parametrize(
    ("model", "target"),
    [(CAPTIONER, caption(TEXT)), (CAPTIONER, caption("", per_token=True)), (ANSWERER, answer(QUESTION))],
)
def test_maps_of_texts_are_measured(client: ExplanationClient, picture: Path, model: str, target: pb.Target) -> None:
    figures = client.explain(picture, model=model, target=target, faithfulness=True).explanation.faithfulness
    assert figures is not None
    assert figures.unseen_share < 0.01
    assert figures.insertion_auc > 0


BAD_TARGETS = {
    "a caption for a classifier": (CLASSIFIER, caption("a star"), "targets[0].caption"),
    "a class for a captioner": (CAPTIONER, pb.Target(class_target=pb.ClassTarget(index=1)), "targets[0].class_target"),
    "a caption for an answerer": (ANSWERER, caption("a star"), "targets[0].caption"),
    "no question": (ANSWERER, answer(""), "targets[0].answer.question"),
    "a blank question": (ANSWERER, answer(" \t"), "targets[0].answer.question"),
    "a question without words": (ANSWERER, answer("?!"), "targets[0].answer.question"),
    "a caption without words": (CAPTIONER, caption("..."), "targets[0].caption.text"),
    "too long a caption": (CAPTIONER, caption("star " * 200), "targets[0].caption.text"),
    "control characters": (CAPTIONER, caption("a\x00star"), "targets[0].caption.text"),
    "an answer that there is not": (ANSWERER, answer(QUESTION, "gren"), "targets[0].answer.answer"),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_a_bad_target_names_its_field(client: ExplanationClient, picture: Path, case: str) -> None:
    model, target, field = BAD_TARGETS[case]
    with pytest.raises(InvalidArgumentError) as raised:
        client.explain(picture, model=model, target=target)
    assert [violation.field for violation in raised.value.violations] == [field]
    if "gren" in str(target):
        assert "green" in raised.value.message
    good = caption("a star") if model == CAPTIONER else answer(QUESTION) if model == ANSWERER else "star"
    assert client.explain(picture, model=model, target=good).explanations


def test_a_question_is_for_answerers_alone(client: ExplanationClient, picture: Path) -> None:
    with pytest.raises(CamserveError, match="question is empty"):
        client.predict(picture, model=ANSWERER)
    with pytest.raises(CamserveError, match="question is for answerers"):
        client.predict(picture, model=CAPTIONER, question=QUESTION)
    with pytest.raises(InvalidArgumentError, match="targets is empty"):
        client.explain(picture, model=ANSWERER)


def test_the_command(scenes: Server, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at, out = ["--server", scenes.address], tmp_path / "out.png"
    assert main(["explain", str(picture), "--caption", TEXT, "--per-token", "--out", str(out), *at]) == 0
    assert "right" in capsys.readouterr().out
    assert Image.open(io.BytesIO(out.read_bytes())).width > 1000
    arguments = ["--question", QUESTION, "--answer", "green", "--out", str(out), "--json", *at]
    assert main(["explain", str(picture), *arguments]) == 0
    (explanation,) = json.loads(capsys.readouterr().out)["explanations"]
    assert explanation["target"]["answer"]["answer"] == "green"
    assert Image.open(out).size == (320, 240)
    assert main(["predict", str(picture), "--question", QUESTION, *at]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
    assert main(["predict", str(picture), "--model", CAPTIONER, *at]) == 0
    assert main(["explain", str(picture), "--question", QUESTION, "--answer", "gren", *at]) == 2
    assert "green" in capsys.readouterr().err
