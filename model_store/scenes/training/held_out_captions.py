"""The held-out report: how many of the words that matter the captioner gets right."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray

from model_store.scenes.dataset import KINDS, collect, draw_examples
from model_store.scenes.language import describe, relation
from model_store.scenes.networks.captioner import ScenesCaptioner
from model_store.scenes.scene import Scene, SceneObject
from model_store.scenes.training.fit import SIDE, normalise, scenes_of
from model_store.scenes.vocabulary import CAPTION_WORDS
from model_store.words import Words

LENGTH = 32
"""Most tokens of a caption; that of four objects has 23."""

Slots = dict[str, tuple[int, int]]
"""What a word says -> how many of them are right, and how many there are."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A caption, taken apart.

    Attributes:
        objects: Size, colour and shape of each object, in the order of the text.
        links: What stands between the first and the second object, the third and the fourth: a relation or "and".
    """

    objects: tuple[tuple[str, ...], ...]
    links: tuple[str, ...]


def parse(text: str) -> Spoken:
    """Take a caption apart; words that are not where a caption has them are dropped."""
    objects, links = [], []
    for pair in text.split(" with "):
        link = next((link for link in (" left of ", " right of ", " above ", " below ", " and ") if link in pair), None)
        parts = pair.split(link) if link else [pair]
        objects += [tuple(part.split()[1:4]) for part in parts]
        if link:
            links.append(link.strip())
    return Spoken(tuple(objects), tuple(links))


def true_slots(scene: Scene, text: str) -> Slots:
    """Count the words of a caption that are true of the scene, with the pairing of phrases to objects that suits best.

    What is said of objects that are not there is wrong, and so is what is left unsaid of those that are.
    """
    spoken, wanted = parse(text), parse(describe(scene).text)
    size = max(len(spoken.objects), len(scene.objects))
    padded: list[SceneObject | None] = [*scene.objects, *[None] * (size - len(scene.objects))]

    def right(order: Sequence[SceneObject | None]) -> tuple[int, int, int, int]:
        pairs = [(said, item) for said, item in zip(spoken.objects, order, strict=False) if item is not None]
        attributes = [
            sum(len(said) == 3 and said[place] == getattr(item, name) for said, item in pairs)
            for place, name in enumerate(("size", "colour", "shape"))
        ]
        links = sum(
            first is not None and second is not None and (relation(first, second) or "and") == link
            for first, second, link in zip(order[::2], order[1::2], spoken.links, strict=False)
        )
        return attributes[0], attributes[1], attributes[2], links

    best = max((right(order) for order in permutations(padded)), key=sum)
    totals = (size, size, size, max(len(spoken.links), len(wanted.links)))
    return dict(zip(("size", "colour", "shape", "relation"), zip(best, totals, strict=True), strict=True))


@torch.no_grad()
def captions(model: ScenesCaptioner, images: np.ndarray) -> list[str]:
    """What a model in evaluation mode says of RGB images, uint8 `[n, h, w, 3]`."""
    words = Words(CAPTION_WORDS)
    texts = []
    for start in range(0, len(images), 64):
        tokens = model.generate(normalise(images[start : start + 64]), LENGTH)
        texts += [" ".join(words.decode(row)) for row in tokens.tolist()]
    return texts


def measure(model: ScenesCaptioner, seeds: Sequence[int], workers: int) -> str:
    """A table: share of right words by what they say, and captions that are right word by word; by kind and together.

    Args:
        model: In evaluation mode.
        seeds: Held-out scenes, as many of each kind.
        workers: Processes that draw.
    """
    lines = [f"{'scenes':<10} {'size':>8} {'colour':>8} {'shape':>8} {'relation':>8} {'all slots':>10} {'verbatim':>9}"]
    every: list[NDArray[np.int64]] = []
    word_by_word: list[bool] = []
    for kind in KINDS:
        scenes = scenes_of([kind], seeds)
        texts = captions(model, collect(draw_examples([kind], seeds, SIDE, workers)).images)
        counts = np.array([list(true_slots(scene, text).values()) for scene, text in zip(scenes, texts, strict=True)])
        verbatim = [describe(scene).text == text for scene, text in zip(scenes, texts, strict=True)]
        lines.append(_line(kind, counts, verbatim))
        every.append(counts)
        word_by_word += verbatim
    return "\n".join([*lines, _line("together", np.concatenate(every), word_by_word)])


def _line(kind: str, counts: NDArray[np.int64], verbatim: Sequence[bool]) -> str:
    right, total = counts.sum(0).T
    shares = " ".join(f"{share:8.4f}" for share in right / np.maximum(total, 1))
    return f"{kind:<10} {shares} {right.sum() / total.sum():10.4f} {np.mean(verbatim):9.4f}"
