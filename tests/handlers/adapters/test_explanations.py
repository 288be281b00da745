"""Explaining captions, answers and similarities of the library's networks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from handlers.adapters.tokenizer import LibraryTokenizer
from saliency import UnsuitableError, explain, methods
from saliency.choice import last_spatial, spatial_layers
from tests.handlers.adapters.models import FAMILIES, GRID, images, load, rows

CELLS = GRID[0] * GRID[1]


def _inputs(kind: str, tokenizer: LibraryTokenizer, count: int = 2, width: int = 8) -> dict[str, Tensor]:
    text = rows(tokenizer, *("a red circle", "the blue square")[:count], width=width)
    names = {"blip answerer": ("question", "tokens"), "vilt": ("question",)}.get(kind, ("tokens",))
    return {"images": images(count), **dict.fromkeys(names, text)}


def _second_token(output: Tensor) -> Tensor:
    """The log-probability of an id as the second token, or the first score of what has no tokens."""
    return output[1].log_softmax(-1)[6] if output.dim() == 2 else output[0]


@pytest.mark.parametrize("kind", FAMILIES)
# As many tokens as there are cells, cells and a class token, and cells halved: none of these is taken for patches.
@pytest.mark.parametrize("width", [3, 4, CELLS, CELLS + 1])
def test_the_grid_is_that_of_the_image_whatever_the_text(kind: str, width: int, tmp_path: Path) -> None:
    adapter, tokenizer, _ = load(kind, tmp_path)
    inputs = _inputs(kind, tokenizer, width=width)
    chosen = last_spatial(adapter, inputs)
    assert (chosen.name, chosen.grid) == (FAMILIES[kind].layer, GRID)
    found = explain(adapter, inputs, [_second_token] * 2, "layer-cam")
    assert found.maps.shape == (2, *GRID)
    assert not found.warnings
    assert not any("embeddings.word" in name or "cls" in name for name in spatial_layers(adapter, inputs))


@pytest.mark.parametrize("kind", ["blip captioner", "vit-gpt2", "blip answerer", "clip", "vilt"])
def test_grad_cam_is_that_of_a_graph_of_the_whole_network(kind: str, tmp_path: Path) -> None:
    adapter, tokenizer, _ = load(kind, tmp_path)
    inputs = _inputs(kind, tokenizer)
    found = explain(adapter, inputs, [_second_token] * 2, "grad-cam")
    adapter.requires_grad_(True)
    kept: list[Tensor] = []
    layer = dict(adapter.named_modules())[FAMILIES[kind].layer]
    handle = layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    scores = torch.stack([_second_token(output) for output in adapter(**inputs)])
    handle.remove()
    (gradient,) = torch.autograd.grad(scores.sum(), kept)
    # A class token comes before the patches, and ViLT's question with its two marks before that.
    before = kept[0].shape[1] - CELLS
    assert before == (8 + 2 + 1 if kind == "vilt" else 1)
    weights = gradient[:, before:].mean(1, keepdim=True)
    maps = (kept[0][:, before:] * weights).sum(-1).clamp_min(0).reshape(2, *GRID)
    torch.testing.assert_close(found.maps, maps.detach().float())
    torch.testing.assert_close(found.scores, scores.detach().float())


def test_targets_of_one_caption_are_what_each_alone_is(tmp_path: Path) -> None:
    adapter, tokenizer, _ = load("blip captioner", tmp_path)
    inputs = _inputs("blip captioner", tokenizer, 1)
    (tokens,) = inputs["tokens"].tolist()
    targets = [lambda output, t=t: output[t].log_softmax(-1)[tokens[t]] for t in range(3)]
    together = explain(adapter, inputs, [targets], "grad-cam").maps[0]
    alone = [explain(adapter, inputs, [target], "grad-cam").maps[0] for target in targets]
    torch.testing.assert_close(together, torch.stack(alone))
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("kind", ["git", "siglip", "blip answerer"])
@pytest.mark.parametrize("method", ["score-cam", "recipro-cam"])
def test_a_batch_of_disturbed_images_gives_what_single_ones_give(kind: str, method: str, tmp_path: Path) -> None:
    adapter, tokenizer, _ = load(kind, tmp_path)
    inputs = _inputs(kind, tokenizer)
    together = explain(adapter, inputs, [_second_token] * 2, method).maps
    for i in range(2):
        own = {name: values[i : i + 1] for name, values in inputs.items()}
        torch.testing.assert_close(together[i : i + 1], explain(adapter, own, [_second_token], method).maps)


def _weights(kind: str, network: Any, tokenizer: LibraryTokenizer, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """The library's own account of the attention that leads to the scores."""
    network.set_attn_implementation("eager")
    if kind == "clip":
        seen: tuple[Tensor, ...] = network.vision_model(inputs["images"], output_attentions=True).attentions
        return seen
    text = [[*tokenizer.before, *tokenizer.read("a red circle").tokens, *tokenizer.after]]
    pixels = inputs["images"]
    patches = network.vilt.embeddings.patch_embeddings(pixels)
    assert patches.shape[-2:] == GRID
    ids = torch.tensor(text)
    adapted: tuple[Tensor, ...] = network.vilt(
        ids,
        attention_mask=torch.ones_like(ids),
        image_embeds=_embedded(network, patches),
        output_attentions=True,
        pixel_mask=torch.ones(1, 1 + CELLS, dtype=torch.long),
    ).attentions
    return adapted


def _embedded(network: Any, patches: Tensor) -> Tensor:
    embeddings = network.vilt.embeddings
    tokens = torch.cat([embeddings.cls_token, patches.flatten(2).transpose(1, 2)], 1)
    embedded: Tensor = tokens + embeddings.position_embeddings
    return embedded


@pytest.mark.parametrize("kind", ["clip", "vilt"])
def test_attention_rollout_starts_from_the_token_that_is_read_and_ends_on_patches(kind: str, tmp_path: Path) -> None:
    adapter, tokenizer, network = load(kind, tmp_path)
    inputs = _inputs(kind, tokenizer, 1, width=3)
    found = explain(adapter, inputs, [_second_token], "attention-rollout").maps[0]
    with torch.no_grad():
        weights = _weights(kind, network, tokenizer, inputs)
    relevance = torch.eye(weights[0].shape[-1], dtype=torch.float64)[:1]  # both read their first token
    for block in reversed(weights):
        relevance = (relevance @ block[0].mean(0) + relevance) / 2
    torch.testing.assert_close(found, relevance[0, -CELLS:].reshape(GRID).float())


def test_attention_follows_questions_of_other_lengths(tmp_path: Path) -> None:
    adapter, tokenizer, _ = load("vilt", tmp_path)
    for width in (3, 5, 8):
        found = explain(adapter, _inputs("vilt", tokenizer, width=width), [_second_token] * 2, "gradient-attention")
        assert found.maps.shape == (2, *GRID)
        assert not found.warnings


@pytest.mark.parametrize("kind", ["blip captioner", "blip answerer", "vit-gpt2", "git", "siglip"])
@pytest.mark.parametrize("width", [8, CELLS + 1])
def test_attention_that_goes_through_texts_or_a_pooling_head_is_refused(kind: str, width: int, tmp_path: Path) -> None:
    adapter, tokenizer, _ = load(kind, tmp_path)
    with pytest.raises(UnsuitableError, match="or a text beside the image"):
        explain(adapter, _inputs(kind, tokenizer, width=width), [_second_token] * 2, "gradient-attention")


_SUIT_ALL = {"grad-cam", "grad-cam++", "layer-cam", "eigen-cam", "input-gradient", "score-cam", "recipro-cam"}
_ATTENTION = {"attention-rollout", "gradient-attention"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES)
def test_every_method_explains_or_says_that_it_does_not_suit(kind: str, tmp_path: Path) -> None:
    adapter, tokenizer, _ = load(kind, tmp_path)
    inputs = _inputs(kind, tokenizer, 1)
    refused = set()
    for method in methods():
        try:
            assert explain(adapter, inputs, [_second_token], method.id).maps.isfinite().all()
        except UnsuitableError:
            refused.add(method.id)
    assert not refused & (_SUIT_ALL | (_ATTENTION if kind in ("clip", "vilt") else set()))
