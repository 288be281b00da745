"""Do the maps of words lie on what the words name: captions and answers of the scenes models, on held-out scenes.

Run from the root: ``python -m evaluation.words``. Three questions are asked of Grad-CAM (or another method):

* caption: the maps of a true caption's colour and shape words, against the objects that these words name;
* answer: the map of the answer to "what colour is the circle?", for each shape that is there once, against that object;
* counter: the map of what speaks against a wrong answer to that question, against the same object.

An untrained model and a map that always points to the centre are measured beside the trained one.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import saliency
from evaluation.measures.pointing import TOLERANCE, energy_inside, pointing
from model_store.module import load_module
from model_store.scenes.dataset import HELD_OUT_SEEDS
from model_store.scenes.drawing import draw, masks
from model_store.scenes.language import describe
from model_store.scenes.scene import Scene, two_class_scene
from model_store.scenes.training.fit import SIDE, normalise
from model_store.scenes.vocabulary import ANSWERS, CAPTION_WORDS, COLOURS, QUESTION_WORDS
from model_store.words import Words
from saliency.maps import upsample
from saliency.targets import Target

_STORE = Path(__file__).resolve().parents[1] / "model_store"


@dataclass(frozen=True)
class TokenScore:
    """The log-probability of one token of a text, of a sample's logits ``[T, V]``."""

    place: int
    token: int

    def __call__(self, logits: Tensor) -> Tensor:
        """Takes one sample's logits."""
        return logits[self.place].log_softmax(-1)[self.token]


@dataclass(frozen=True)
class Aimed:
    """A map and where it should lie.

    Attributes:
        question: which of the three questions it answers.
        map: float32 ``[H, W]``, at the picture's size.
        mask: of the object, bool ``[H, W]``.
        others: of the other objects.
    """

    question: str
    map: Tensor
    mask: Tensor
    others: Tensor


def load(folder: str, *, trained: bool) -> nn.Module:
    """A model of the store in evaluation mode, with its weights or with random ones."""
    path = _STORE / folder / "model.py"
    torch.manual_seed(0)
    model: nn.Module = load_module(path).build()
    if trained:
        model.load_state_dict(load_file(path.with_name("weights.safetensors")))
    return model.eval()


def caption_maps(model: nn.Module, scene: Scene, method: str) -> Iterator[Aimed]:
    """The maps of the colour and shape words of a scene's true caption."""
    words, caption = Words(CAPTION_WORDS), describe(scene)
    tokens = words.encode(words.split(caption.text))
    named = [phrase for phrase in caption.phrases if len(phrase.objects) == 1]
    places = [(place, phrase.objects[0]) for phrase in named for place in (phrase.stop - 2, phrase.stop - 1)]
    found = saliency.explain(
        model,
        {"images": _image(scene), "tokens": torch.tensor([tokens])},
        [[TokenScore(place, tokens[place]) for place, _ in places]],
        method,
        ["encoder.join"],
    )
    yield from _aimed("caption", found.maps[0], [owner for _, owner in places], scene)


def answer_maps(model: nn.Module, scene: Scene, method: str) -> Iterator[Aimed]:
    """For each shape that is there once, the maps of its colour as an answer, and of what speaks against another's."""
    words = Words(QUESTION_WORDS)
    for index, item in enumerate(scene.objects):
        if sum(other.shape == item.shape for other in scene.objects) > 1:
            continue
        question = torch.tensor([words.encode(words.split(f"what colour is the {item.shape}?"))])
        others = [other.colour for other in scene.objects if other.colour != item.colour]
        wrong = others[0] if others else next(colour for colour in COLOURS if colour != item.colour)
        targets: list[Target] = [saliency.Class(ANSWERS.index(item.colour)), saliency.Counter(ANSWERS.index(wrong))]
        inputs = {"images": _image(scene), "question": question}
        found = saliency.explain(model, inputs, [targets], method, ["encoder.join"])
        yield from _aimed("answer", found.maps[0, :1], [index], scene)
        yield from _aimed("counter", found.maps[0, 1:], [index], scene)


def _image(scene: Scene) -> Tensor:
    return normalise(draw(scene, SIDE, SIDE)[None])


def _aimed(question: str, maps: Tensor, owners: Sequence[int], scene: Scene) -> Iterator[Aimed]:
    visible = torch.from_numpy(masks(scene, SIDE, SIDE))
    for cam, owner in zip(upsample(maps, (SIDE, SIDE)), owners, strict=True):
        yield Aimed(question, cam, visible[owner], visible.any(0) & ~visible[owner])


def row(name: str, aimed: Sequence[Aimed]) -> str:
    """A line of the table: hits with and without tolerance, and the map's energy on the object and on the others."""
    cams, inside, others = (torch.stack([getattr(one, part) for one in aimed]) for part in ("map", "mask", "others"))
    figures = (
        pointing(cams, inside, TOLERANCE * SIDE).float().mean(),
        pointing(cams, inside, 0).float().mean(),
        energy_inside(cams, inside).mean(),
        energy_inside(cams, others).mean(),
    )
    return f"{name:<28}" + "".join(f"{float(figure):9.3f}" for figure in figures) + f"{len(aimed):8d}"


def centre(aimed: Sequence[Aimed]) -> list[Aimed]:
    """The same questions, answered by a map that fades from the centre whatever the picture."""
    line = torch.linspace(-1, 1, SIDE)
    cam = (1 - line.square()[:, None] - line.square()).clamp_min(0)
    return [Aimed(one.question, cam, one.mask, one.others) for one in aimed]


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=300, help="held-out scenes with objects of two shapes")
    parser.add_argument("--method", default="grad-cam", help="id of the method")
    args = parser.parse_args()
    scenes = [two_class_scene(seed) for seed in HELD_OUT_SEEDS[2_000 : 2_000 + args.scenes]]
    print(f"{'':<28}{'hit':>9}{'strict':>9}{'energy':>9}{'others':>9}{'maps':>8}")
    for trained in (True, False):
        captioner, answerer = load("scenes-captioner", trained=trained), load("scenes-vqa", trained=trained)
        found = [
            one
            for scene in scenes
            for one in (*caption_maps(captioner, scene, args.method), *answer_maps(answerer, scene, args.method))
        ]
        for question in ("caption", "answer", "counter"):
            mine = [one for one in found if one.question == question]
            print(row(f"{question}{'' if trained else ', untrained'}", mine))
            if trained:
                print(row(f"{question}, centre", centre(mine)))


if __name__ == "__main__":
    main()
