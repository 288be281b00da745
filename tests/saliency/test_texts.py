"""Models that take texts beside images: what is the image's is told from what is the text's."""

import pytest
import torch
from torch import Tensor, nn

from saliency import UnsuitableError, explain
from saliency.choice import last_spatial
from saliency.survey import survey
from tests import nets

CELLS, WIDTH, VOCABULARY = 16, 12, 7


class _Block(nn.Module):
    """Attention by its definition, to oneself or to another sequence, beside a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout()

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        y = self.norm(x)
        source = y if other is None else other
        scores = (self.query(y) @ self.key(source).mT)[:, None]
        return x + (self.dropout(scores.softmax(-1)) @ source[:, None])[:, 0]


class _Reader(nn.Module):
    """Patches of the image, and a text that looks at them."""

    def __init__(self, *, looks: bool, text_first: bool = False) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.vision = nn.ModuleList([_Block(), _Block()])
        self.vision_norm = nn.LayerNorm(WIDTH)
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.text = nn.ModuleList([_Block(), _Block()])
        self.head = nn.Sequential(nn.Linear(WIDTH, 3), nn.LayerNorm(3))
        self.looks, self.text_first = looks, text_first

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        words = self.words(tokens) if self.text_first else None
        patches = self.embed(images).flatten(2).transpose(1, 2)
        for block in self.vision:
            patches = block(patches)
        patches = self.vision_norm(patches)
        words = self.words(tokens) if words is None else words
        for block in self.text:
            words = block(block(words), patches) if self.looks else block(words)
        return self.head(words) * (1 if self.looks else self.head(patches.mean(1))[:, None])


def _made(**kind: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _Reader(**kind).double().eval()


def _inputs(length: int) -> dict[str, Tensor]:
    return {"images": nets.images(2), "tokens": torch.arange(length).expand(2, -1) % VOCABULARY}


@pytest.mark.parametrize("looks", [True, False])
# As long as the patches are many, as these halved once and twice, and as neither.
@pytest.mark.parametrize("length", [CELLS, CELLS // 4, 2, 5])
def test_a_text_is_not_taken_for_patches(looks: bool, length: int) -> None:
    net = _made(looks=looks)
    inputs = _inputs(length)
    names = {layer.name: grid for layer, grid in survey(net, inputs).grids.items()}
    assert {"embed", "vision.0", "vision.1.norm", "vision_norm"} <= set(names)
    assert set(names.values()) == {(4, 4)}
    assert not any(name.startswith(("words", "head")) or name.endswith("dropout") for name in names)
    assert last_spatial(net, inputs).name == "vision_norm"
    assert explain(net, inputs, [lambda output: output[0, 1]] * 2).maps.shape == (2, 4, 4)


def test_a_text_before_the_image_does_not_hide_it() -> None:
    net = _made(looks=False, text_first=True)
    assert last_spatial(net, _inputs(CELLS)).name == "vision_norm"


def test_attention_of_a_text_apart_is_passed_over() -> None:
    target = [lambda output: output.sum()] * 2
    net = _made(looks=False)
    maps = [explain(net, _inputs(length), target, "attention-rollout").maps for length in (5, CELLS)]
    torch.testing.assert_close(maps[0], maps[1])
    with torch.no_grad():
        patches = net.embed(nets.images(2)).flatten(2).transpose(1, 2)
        start = torch.full((2, 1, CELLS), 1 / CELLS, dtype=torch.float64)
        blocks = []
        for block in net.vision:
            y = block.norm(patches)
            blocks.append((block.query(y) @ block.key(y).mT).softmax(-1))
            patches = block(patches)
        for weights in reversed(blocks):
            start = (start @ weights + start) / 2
    torch.testing.assert_close(maps[0], start.reshape(2, 4, 4).float())


@pytest.mark.parametrize("length", [5, CELLS])
def test_attention_of_a_text_that_looks_at_the_image_is_not(length: int) -> None:
    with pytest.raises(UnsuitableError, match="a text beside the image"):
        explain(_made(looks=True), _inputs(length), [lambda output: output.sum()] * 2, "attention-rollout")
