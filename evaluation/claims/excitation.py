"""Does excitation backprop keep its mass, and does the contrast make it point better."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from evaluation.claims.compared import Sample
from evaluation.classifier import Classifier
from evaluation.measures.pointing import TOLERANCE, energy_inside, pointing
from evaluation.pictures.scenes import pictures
from evaluation.report.section import Better, Column, Figure, Section, Table
from saliency.choice import resolve
from saliency.excitation import forward
from saliency.faithfulness import mask_of
from saliency.families.excitation_backprop import ContrastiveExcitationBackprop, ExcitationBackprop
from saliency.targets import Counter, Targets

METHODS: Final = (
    *("grad-cam", "hires-cam", "layer-cam", "excitation-backprop", "contrastive-excitation-backprop"),
    "input-gradient",
)
LAYERS: Final = ("stage2", "stage3", "stage4")
"""Of the scenes classifier, from many cells to few."""


def excitation(sample: Sample) -> Section:
    """Asks for every class of scenes with two, at several layers."""
    return Section(
        name="excitation",
        title="Excitation backprop",
        text="The paper's claims: mass is neither made nor lost on its way down, the contrast of a class is the"
        " negative of that of its opposite, and contrast makes maps point at their own object among others.",
        settings={
            "model": sample.classifier.name,
            "pictures": "held-out scenes with two classes; a map of each class",
            "pointing allows beside the object": f"{100 * TOLERANCE:g} % of the side",
        },
        tables=[_pointing(sample), _mass(sample)],
    )


def _pointing(sample: Sample) -> Table:
    rows: dict[str, list[Figure | None]] = {}
    for layer in LAYERS:
        for method in METHODS:
            if method == "input-gradient" and layer != LAYERS[0]:
                continue  # reads no layer
            runs = [_found(sample, number, method, layer) for number in range(sample.sets)]
            name = method if method == "input-gradient" else f"{method}, {layer}"
            rows[name] = [Figure.over(column) for column in zip(*runs, strict=True)]
    return Table(
        name="excitation-pointing",
        caption=f"Whether maps of each of two classes lie on its own objects. {sample.over}",
        columns=[Column("pointing %", Better.HIGHER), Column("energy %", Better.HIGHER)],
        rows=rows,
        by="method and layer",
    )


def _found(sample: Sample, number: int, method: str, layer: str) -> tuple[float, float]:
    images, classes, masks = _each_class(sample.classifier, sample.count, number)
    raw = sample.classifier.at(layer).maps(images, classes, method, {})
    maps = mask_of(raw, sample.classifier.size)
    hits = pointing(maps, masks, TOLERANCE * min(sample.classifier.size)).float()
    return 100 * float(hits.mean()), 100 * float(energy_inside(maps, masks).mean())


def _mass(sample: Sample) -> Table:
    rows = {}
    for layer in LAYERS:
        runs = [_kept(sample.classifier, sample.count, number, layer) for number in range(sample.sets)]
        rows[layer] = [Figure.over(column) for column in zip(*runs, strict=True)]
    return Table(
        name="excitation-mass",
        caption=f"Mass that arrives at a layer of the 1 that a class starts with; what both contrasts add up to, before"
        f" they are clipped; and the sum of a contrast. {sample.over}",
        columns=[
            Column("mass", digits=6),
            Column("largest |contrast + contrast of the opposite|", digits=6),
            Column("largest |sum of a contrast|", digits=6),
        ],
        rows=rows,
        by="layer",
    )


def _kept(classifier: Classifier, count: int, number: int, layer: str) -> tuple[float, float, float]:
    images, classes, _ = _each_class(classifier, count, number)
    inputs = classifier.normalised(images)
    run = forward(classifier.network, inputs, resolve(classifier.network, layer, inputs))
    targets = Targets.parse(classes.tolist(), len(classes))
    opposites = Targets.parse([Counter(index) for index in classes.tolist()], len(classes))
    (mass,) = ExcitationBackprop().mass(run, targets)
    (contrast,), (opposite,) = (ContrastiveExcitationBackprop().mass(run, own) for own in (targets, opposites))
    sums = [values.double().sum((2, 3, 4)) for values in (mass, contrast)]
    return float(sums[0].mean()), float((contrast + opposite).abs().max()), float(sums[1].abs().max())


def _each_class(classifier: Classifier, count: int, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images ``[R, 3, H, W]``, a class that is there ``[R]`` and its pixels ``[R, H, W]``: a row for each class."""
    batch = pictures(["two-class"], number, range(count), classifier.size)
    pairs: Sequence[tuple[int, int]] = [(row, own) for row, known in enumerate(batch.boxes) for own in known]
    owners, classes = torch.tensor(pairs).unbind(1)
    return batch.images[owners], classes, batch.truth[owners] == classes[:, None, None]
