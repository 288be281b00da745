"""``docs/gallery.md`` and its pictures: every method with its formula, its cost and its map, from the registry."""

import inspect
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import saliency
from camserve.rendering import Box, overlay_picture
from evaluation.classifier import load_classifier
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

DOCS = Path(__file__).resolve().parents[1]
STORE = DOCS.parent / "model_store"
SCENE, TARGETS = "heart-before-star", ("heart", "star")
SIDE = 224

HEAD = f"""\
# Gallery of methods

Made from the registry by `make docs`; do not edit. What a method is, is its docstring; A is the layer's activation, g
the gradient of the target's score at it, k counts channels and ij cells, n is the min-max normalisation, up the
resizing to the image. The pictures are maps of `scenes-classifier` for its classes {" and ".join(TARGETS)}, each method
at its defaults. [Methods](methods.md) has all of this in one table, with options.
"""

Registered = type[saliency.Method]


def text() -> str:
    """The page: methods by family, the families in the order of their names."""
    families: defaultdict[str, list[Registered]] = defaultdict(list)
    for method in saliency.methods():
        families[method.__module__.rpartition(".")[2].replace("_", " ")].append(method)
    parts = [HEAD]
    for family, methods in sorted(families.items()):
        parts.append(f"\n## {family.capitalize().replace('cam', 'CAM')}\n")
        parts += [_section(method) for method in methods]
    return "".join(parts)


def picture_of(method: Registered) -> str:
    """Where its picture is, relative to the page."""
    return f"gallery/{method.id.replace('+', 'p')}.jpg"


def drawn() -> dict[str, Image.Image]:
    """The picture of every method that the classifier suits, by where it goes."""
    classifier = load_classifier(STORE / "scenes-classifier")
    pixels = draw(dict(demo_scenes())[SCENE], *reversed(classifier.size))
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    large = draw(dict(demo_scenes())[SCENE], SIDE, SIDE)
    images = image.expand(len(TARGETS), -1, -1, -1)
    classes = torch.tensor([classifier.labels.index(label) for label in TARGETS])
    pictures = {}
    for method in saliency.methods():
        if method.unsuitable(classifier.network):
            continue
        try:
            maps = classifier.maps(images, classes, method.id, {})
        except saliency.UnsuitableError:  # what only a run tells
            continue
        tiles = [overlay_picture(large, heat.numpy(), Box(0, 0, SIDE, SIDE)) for heat in maps]
        pictures[picture_of(method)] = Image.fromarray(np.hstack(tiles))
    return pictures


def _section(method: Registered) -> str:
    lines = [f"\n### {method.id}\n", f"\n{_formulas(method)}\n"]
    if (DOCS / picture_of(method)).is_file():
        lines.append(f"\n![Maps of {method.id} for {' and '.join(TARGETS)}]({picture_of(method)})\n")
    else:
        lines.append(f"\n*No picture: it needs {method.needs}, which the scenes classifier does not have.*\n")
    facts = [f"**Cost** {method.passes} (class *{method.cost.value}*)", f"**Needs** {method.needs}"]
    if method.class_agnostic:
        facts.append("**Ignores the target**: the maps of all classes are the same")
    if method.sanity_failing:
        facts.append("**Known to depend little on the model** (Adebayo et al., 2018); its maps carry a warning")
    facts.append(f"**Paper** {method.paper}")
    lines += [f"\n- {fact}" for fact in facts]
    return "".join([*lines, "\n"])


def _formulas(method: Registered) -> str:
    """The docstring without its sections for programmers, in Markdown."""
    told = inspect.cleandoc(method.__doc__ or "").partition("\n\nAttributes:")[0]
    return told.replace("``", "`")


def main() -> None:
    """Writes the pictures, then the page."""
    for place, picture in drawn().items():
        picture.save(DOCS / place, quality=85)
    (DOCS / "gallery.md").write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
