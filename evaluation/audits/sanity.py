"""Do maps depend on what the network has learnt: ``python -m evaluation.audits.sanity``.

Adebayo et al., "Sanity checks for saliency maps" (NeurIPS 2018). The network's layers are randomised, from the output
down to the input (cascading) or each by itself (independent). A map that stays the same explains the picture, or the
architecture, but not the network.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from evaluation.audits.command import run
from evaluation.audits.likeness import Findings, Likeness
from evaluation.audits.overlays import COLORMAP, overlay, picture
from evaluation.audits.randomisation import layers, randomise
from evaluation.classifier import Classifier
from evaluation.controls import CONTROLS
from evaluation.measures.similarity import rank_correlation
from evaluation.methods import Contender
from evaluation.pictures.picture import Pictures
from evaluation.pictures.scenes import pictures
from evaluation.progress import Progress
from evaluation.report.section import Better, Column, Figure, Gallery, Picture, Plot, Section, Table
from saliency.maps import upsample

METHODS: Final = (
    *("input-gradient", "integrated-gradients:steps=8", "guided-backprop", "deconvolution", "guided-grad-cam"),
    *("grad-cam", "grad-cam++", "xgrad-cam", "hires-cam", "layer-cam", "score-cam:max_channels=16", "eigen-cam"),
    *("fake-cam", "centre"),
)
"""Of each family one or two, those that the paper found wanting, and controls."""
KINDS: Final = ("one-class", "two-class")
"""Of scenes."""
UNMOVED: Final = 0.5
"""Rank correlation and SSIM from which a map is said to have hardly changed."""

SAME: Final = 1 - 1e-4
"""Rank correlation from which two maps are said to be the same; pixels of nearly one value may change places."""


@dataclass(frozen=True)
class Network:
    """The network in one state.

    Attributes:
        scheme: ``cascading`` or ``independent``.
        depth: how many layers, counted from the output, the last randomised one is away; from 1.
        classifier: with that network.
    """

    scheme: str
    depth: int
    classifier: Classifier


def sanity(
    classifier: Classifier, contenders: Sequence[Contender], *, images: int = 12, draws: int = 3, seed: int = 0
) -> Section:
    """Audits how much maps depend on the network's weights. The classifier is left as it was.

    Args:
        classifier: of scenes.
        contenders: methods and controls.
        images: held-out scenes, whose label is explained; at least 2.
        draws: of random weights, over which figures spread.
        seed: of these draws.

    Raises:
        ValueError: a method does not work on the network, no part of the network has weights, or there are not enough
            pictures.
    """
    if images < 2:
        raise ValueError(f"images must be at least 2, as maps of different pictures are compared, not {images}")
    batch = pictures(KINDS, 0, range(images), classifier.size)
    names = list(reversed(layers(classifier.network)))
    trained = {contender.name: contender.maps(classifier, batch.images, batch.labels) for contender in contenders}
    elsewhere = {c.name: _elsewhere(c, classifier, batch, trained[c.name]) for c in contenders}
    overlays = {name: [overlay(batch.images[0], maps[0])] for name, maps in trained.items()}
    found = defaultdict(list)
    progress = Progress(draws * 2 * len(names) * len(contenders) * images, "maps")
    for draw in range(draws):
        generator = torch.Generator().manual_seed(seed + draw)
        for network in _randomised(classifier, generator):
            for contender in contenders:
                maps = contender.maps(network.classifier, batch.images, batch.labels)
                likeness = Likeness.of(trained[contender.name], maps, classifier.size)
                found[contender.name, network.scheme, network.depth].append(likeness)
                if draw == 0 and network.scheme == "cascading":
                    overlays[contender.name].append(overlay(batch.images[0], maps[0]))
                progress.advance(images, contender.name)
    progress.end()
    findings = Findings(contenders, names, images, draws, elsewhere, found)
    return Section(
        name="sanity",
        title="Do maps depend on what the network learnt",
        text=_text(findings),
        settings={
            "model": classifier.name,
            "pictures": f"{images} held-out scenes ({', '.join(KINDS)}), the label is explained",
            "layers, from the output": ", ".join(names),
            "random weights": f"as layers are initialised before training, {draws} draws from seed {seed}",
            "compared": "at the pictures' size; a map that becomes flat has rank correlation 0",
        },
        tables=[_table(findings)],
        plots=list(_plots(findings)),
        galleries=[_gallery(batch, overlays, names)],
    )


def _randomised(classifier: Classifier, generator: torch.Generator) -> Iterator[Network]:
    """The network in every state; each is overwritten by the next of its scheme."""
    modules = list(reversed(layers(classifier.network).values()))
    cascading = deepcopy(classifier.network)
    for depth, own in enumerate(modules, start=1):
        randomise(cascading, own, generator)
        yield Network("cascading", depth, replace(classifier, network=cascading))
    for depth, own in enumerate(modules, start=1):
        independent = deepcopy(classifier.network)
        randomise(independent, own, generator)
        yield Network("independent", depth, replace(classifier, network=independent))


def _elsewhere(contender: Contender, classifier: Classifier, batch: Pictures, trained: Tensor) -> float:
    """How alike the maps are to those of other pictures for the same classes."""
    others = contender.maps(classifier, batch.images.roll(1, 0), batch.labels)
    own, others = (upsample(maps, classifier.size) for maps in (trained, others))
    return float(rank_correlation(own, others).mean())


def _table(found: Findings) -> Table:
    half, whole = found.half, len(found.layers)
    columns = {
        "ranks, output layer random": ("cascading", [1], "rank"),
        f"ranks, upper {half} random": ("cascading", [half], "rank"),
        "ranks, all random": ("cascading", [whole], "rank"),
        "|ranks|, all random": ("cascading", [whole], "absolute"),
        "ranks, one layer random": ("independent", range(1, whole + 1), "rank"),
        f"SSIM, upper {half} random": ("cascading", [half], "structure"),
        "SSIM, all random": ("cascading", [whole], "structure"),
        "flat, all random": ("cascading", [whole], "flat"),
    }
    return Table(
        name="sanity",
        caption=f"How alike the maps of {found.images} pictures are to those of the same network with random layers,"
        " and to those of another picture. Means over pictures, ± their standard deviation over"
        f" {found.draws} draws of weights.",
        columns=[
            *(
                Column(title, Better.NEITHER if field == "flat" else Better.LOWER, digits=2)
                for title, (_, _, field) in columns.items()
            ),
            Column("ranks, another picture", Better.LOWER, digits=2),
        ],
        rows={
            c.name: [*(found.figure(c.name, *choice) for choice in columns.values()), Figure(found.elsewhere[c.name])]
            for c in found.contenders
        },
    )


def _plots(found: Findings) -> Iterator[Plot]:
    across = {"cascading": "layers randomised, from the output", "independent": "layer randomised, from the output"}
    for scheme, field, up in (
        ("cascading", "rank", "rank correlation"),
        ("cascading", "structure", "SSIM"),
        ("independent", "rank", "rank correlation"),
    ):
        yield Plot(
            name=f"{scheme}-{field}",
            caption=f"{up[0].upper()}{up[1:]} with the trained network's maps, {scheme} randomisation."
            " Lines that stay high are of maps that hardly depend on the weights.",
            across=across[scheme],
            up=up,
            lines={
                c.name: [(0.0, 1.0)] * (scheme == "cascading")
                + [(own, found.mean(c.name, scheme, own, field)) for own in range(1, len(found.layers) + 1)]
                for c in found.contenders
            },
        )


def _gallery(batch: Pictures, overlays: Mapping[str, Sequence[Picture]], names: Sequence[str]) -> Gallery:
    shown = picture(batch.images[0])
    return Gallery(
        caption="One picture's maps as the layers are randomised one after the other.",
        titles=["picture", "trained", names[0], *(f"… {name}" for name in names[1:])],
        rows={name: [shown, *row] for name, row in overlays.items()},
        colormap=COLORMAP,
    )


def _text(found: Findings) -> str:
    methods = [contender.name for contender in found.contenders if contender.method not in CONTROLS]
    ranks, structures = (
        {name: found.mean(name, "cascading", found.half, field) for name in methods} for field in ("rank", "structure")
    )
    unmoved = [name for name in methods if min(ranks[name], structures[name]) >= UNMOVED]
    ordered = [name for name in methods if ranks[name] >= UNMOVED and name not in unmoved]
    classless = [name for name in methods if found.mean(name, "cascading", 1, "rank") > SAME]
    blind = [name for name in methods if found.elsewhere[name] > SAME]
    told = [
        "Layers lose what they learnt, from the output down, and the maps are held against those of the trained"
        " network. A map that hardly changes does not explain what the network does.",
        f"With the upper {found.half} of {len(found.layers)} layers random, "
        + (
            f"these hardly change, with a rank correlation and an SSIM of at least {UNMOVED:g}: {', '.join(unmoved)}."
            if unmoved
            else f"no method keeps both a rank correlation and an SSIM of {UNMOVED:g}."
        ),
    ]
    if ordered:
        told.append(f"The order of pixels alone stays alike, while their values change, for {', '.join(ordered)}.")
    if classless:
        told.append(f"A random output layer changes nothing at all for {', '.join(classless)}: the class is not asked.")
    if blind:
        told.append(f"The map is the same for every picture, whatever it shows, for {', '.join(blind)}.")
    return "\n\n".join(told)


if __name__ == "__main__":
    sys.exit(run(sanity, __doc__, METHODS, images=12))
