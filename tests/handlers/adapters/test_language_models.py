"""Adapters give what the library's own networks give."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from camserve.errors import InvalidArgumentError
from handlers.adapters import load_language_model
from handlers.language import Text
from model_store.recipe import RecipeError, load_recipe
from tests.handlers.adapters.models import CLS, DEC, FAMILIES, LABELS, SEP, SIDE, images, load, rows, save

CAPTIONS = ("a red circle", "the small blue square left of a dog")
QUESTIONS = ("what colour is the dog ?", "a circle ?")
ANSWERS = ("red", "a blue square")
CAPTIONERS = ("blip captioner", "git", "vit-gpt2")


def _ids(*tokens: int) -> Tensor:
    return torch.tensor([tokens])


def _own_log_probability(kind: str, network: Any, image: Tensor, text: Text, question: Text) -> float:
    """What the network's own loss, a mean over tokens, says of a text."""
    tokens = text.tokens
    if kind == "vit-gpt2":
        loss = network(pixel_values=image, labels=_ids(*tokens)).loss
    elif kind == "blip answerer":
        asked = _ids(CLS, *question.tokens, SEP)
        given = _ids(DEC, *tokens)
        loss = network(asked, image, labels=given, attention_mask=torch.ones_like(asked)).loss
    else:
        given = _ids(CLS if kind == "git" else DEC, *tokens)
        loss = network(pixel_values=image, input_ids=given, labels=given).loss
    return -loss.item() * len(tokens)


@pytest.mark.parametrize("kind", [*CAPTIONERS, "blip answerer"])
def test_the_tokens_scores_sum_to_the_networks_own_loss(kind: str, tmp_path: Path) -> None:
    adapter, tokenizer, network = load(kind, tmp_path)
    asks = kind == "blip answerer"
    texts, x = ANSWERS if asks else CAPTIONS, images(2)
    questions = [rows(tokenizer, *QUESTIONS)] if asks else []
    # Wider than the network has places, as the texts of others may make it.
    tokens = rows(tokenizer, *texts, width=32)
    found = adapter(x, *questions, tokens).log_softmax(-1)
    assert found.shape[:2] == tokens.shape
    for i, (text, question) in enumerate(zip(texts, QUESTIONS, strict=True)):
        read = tokenizer.read(text)
        own = _own_log_probability(kind, network, x[i : i + 1], read, tokenizer.read(question))
        score = sum(found[i, place, token].item() for place, token in enumerate(read.tokens))
        assert score == pytest.approx(own, rel=1e-6 if kind == "git" else 1e-9)  # GIT's loss is in float32


@pytest.mark.parametrize("kind", CAPTIONERS)
def test_captions_are_those_that_the_network_generates(kind: str, tmp_path: Path) -> None:
    adapter, tokenizer, network = load(kind, tmp_path)
    x = images(4)
    found = [tokenizer.write(row).tokens for row in adapter.generate(x, 6).tolist()]
    assert len(set(found)) > 1
    for image, tokens in zip(x, found, strict=True):
        own = network.generate(pixel_values=image[None], max_new_tokens=6, do_sample=False, num_beams=1)[0, 1:].tolist()
        assert tokens == tokenizer.write(own).tokens
    assert adapter.generate(x, 99).shape[1] <= tokenizer.longest


def test_answers_are_those_that_the_network_generates(tmp_path: Path) -> None:
    adapter, tokenizer, network = load("blip answerer", tmp_path)
    x = images(2)
    found = adapter.generate(x, rows(tokenizer, *QUESTIONS, width=32), 6).tolist()
    for image, question, ids in zip(x, QUESTIONS, found, strict=True):
        asked = _ids(CLS, *tokenizer.read(question).tokens, SEP)
        own = network.generate(asked, image[None], max_new_tokens=6, do_sample=False, num_beams=1)[0, 1:].tolist()
        assert tokenizer.write(ids) == tokenizer.write(own)
    assert found[0] != found[1]


@pytest.mark.parametrize("size", [(SIDE, SIDE), (SIDE, 48)])
def test_labels_are_scored_as_by_vilts_own_forward_which_shuffles_patches(
    size: tuple[int, int], tmp_path: Path
) -> None:
    adapter, tokenizer, network = load("vilt", tmp_path)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    found = adapter(x, rows(tokenizer, *QUESTIONS, width=32))
    for i, question in enumerate(QUESTIONS):
        asked = _ids(CLS, *tokenizer.read(question).tokens, SEP)
        own = network(asked, pixel_values=x[i : i + 1], pixel_mask=torch.ones(1, *size)).logits[0]
        torch.testing.assert_close(found[i], own)
    assert not torch.allclose(found[0], found[1])
    assert adapter.config.id2label == dict(enumerate(LABELS))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_similarities_are_the_networks_own(kind: str, tmp_path: Path) -> None:
    adapter, tokenizer, network = load(kind, tmp_path)
    x = images(2)
    found = adapter(x, rows(tokenizer, *CAPTIONS, width=32))
    fill = {"padding": True} if kind == "clip" else {"padding": "max_length", "max_length": 24}
    given = FAMILIES[kind].tokenizer()(list(CAPTIONS), return_tensors="pt", **fill)
    mask = {"attention_mask": given["attention_mask"]} if kind == "clip" else {}
    own = network(input_ids=given["input_ids"], pixel_values=x, **mask).logits_per_image
    torch.testing.assert_close(found[:, 0], own.diagonal())


@pytest.mark.parametrize("kind", FAMILIES)
def test_padding_changes_no_row(kind: str, tmp_path: Path) -> None:
    adapter, tokenizer, _ = load(kind, tmp_path)
    x = images(2)
    texts = {"blip answerer": (QUESTIONS, ANSWERS), "vilt": (QUESTIONS,)}.get(kind, (CAPTIONS,))
    found = adapter(x, *[rows(tokenizer, *own, width=16) for own in texts])
    for place in range(2):
        own = adapter(x[place : place + 1], *[rows(tokenizer, own[place]) for own in texts])[0]
        torch.testing.assert_close(found[place, : len(own)], own)


def test_texts_longer_than_the_network_has_places_are_refused(tmp_path: Path) -> None:
    _, tokenizer, _ = load("vilt", tmp_path)
    assert len(tokenizer.read(" dog" * 22).tokens) == tokenizer.longest == 22
    with pytest.raises(InvalidArgumentError, match="has 23 tokens, but the model takes at most 22; shorten it"):
        tokenizer.read(" dog" * 23)


def test_blip_refuses_images_of_another_size_which_it_would_misplace(tmp_path: Path) -> None:
    adapter, tokenizer, _ = load("blip captioner", tmp_path)
    with pytest.raises(ValueError, match=r"takes images of 32 x 32, not 16 x 32; set preprocessing.size"):
        adapter(images(1)[:, :, :16], rows(tokenizer, "a"))


def _loaded(folder: Path, **sections: object) -> Any:
    recipe = load_recipe(folder)
    return load_language_model(recipe.model_validate({**recipe.model_dump(exclude_unset=True), **sections}), folder)[0]


def test_published_models_come_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = save("vit-gpt2", tmp_path)
    asked: list[object] = []

    def from_hub(name: str, *, weights: bool, language: bool) -> Path:
        asked.append((name, weights, language))
        return tmp_path

    monkeypatch.setattr("handlers.adapters.from_hub", from_hub)
    source = {"transformers": {"name": "someone/captioner"}}
    adapter = _loaded(tmp_path, source=source, weights={"pretrained": True})
    torch.testing.assert_close(dict(adapter.network.state_dict()), dict(network.state_dict()))
    assert asked == [("someone/captioner", True, True)]


def test_weights_that_were_saved_in_half_precision_are_widened(tmp_path: Path) -> None:
    save("git", tmp_path).half().save_pretrained(tmp_path)
    assert {parameter.dtype for parameter in _loaded(tmp_path).parameters()} == {torch.float32}


def test_random_weights_follow_their_seed_alone(tmp_path: Path) -> None:
    save("clip", tmp_path)
    drawn = [_loaded(tmp_path, weights={"random": True, "seed": seed}).network.state_dict() for seed in (1, 1, 2)]
    name = "vision_model.encoder.layers.0.mlp.fc1.weight"
    assert drawn[0][name].equal(drawn[1][name])
    assert not drawn[0][name].equal(drawn[2][name])


def test_the_way_of_generating_is_the_models_own(tmp_path: Path) -> None:
    save("vit-gpt2", tmp_path)
    (tmp_path / "generation_config.json").write_text('{"decoder_start_token_id": 7, "no_repeat_ngram_size": 3}')
    network = _loaded(tmp_path).network
    assert (network.generation_config.decoder_start_token_id, network.generation_config.no_repeat_ngram_size) == (7, 3)


def test_what_cannot_be_served_names_the_key_or_the_file(tmp_path: Path) -> None:
    save("vilt", tmp_path)
    with pytest.raises(RecipeError, match="models of type vilt have no adapter for the task caption; there are blip, "):
        _loaded(tmp_path, task="caption")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(RecipeError, match=r"put a tokenizer\.json into"):
        _loaded(tmp_path)
