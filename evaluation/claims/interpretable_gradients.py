"""Does training for interpretable gradients change what maps are worth.

Goes on training the scenes classifier with and without the loss, from several seeds on one schedule, and measures what
Figueroa et al., "A Learning Paradigm for Interpretable Gradients" (VISAPP 2024), report of the two. That is how
version 2 was made of version 1; the paper trains both from the start, which takes many times as long.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from evaluation.claims.compared import Sample
from evaluation.claims.trained import Schedule, trained
from evaluation.classifier import Classifier
from evaluation.measures.faithfulness import Protocol, faithfulness
from evaluation.measures.total_variation import total_variation
from evaluation.methods import Contender
from evaluation.pictures.picture import Pictures
from evaluation.pictures.scenes import pictures
from evaluation.report.section import Column, Figure, Section, Table
from model_store.scenes.networks.classifier import build
from saliency.faithfulness import mask_of
from saliency.interpretable import interpretable_loss
from saliency.picture import forward_from_picture

METHODS: Final = ("grad-cam", "grad-cam++", "layer-cam")
WEIGHT: Final = 0.3
"""Of the distance of the gradients in the loss."""
BATCH: Final = 16
"""Pictures that are drawn, explained and measured at a time."""
TITLES: Final = {
    "drop": "AD % ↓",
    "gain": "AG % ↑",
    "increase": "AI % ↑",
    "insertion": "insertion % ↑",
    "deletion": "deletion % ↓",
}
"""Of the fields of :class:`saliency.faithfulness.Faithfulness`."""


def interpretable_gradients(
    sample: Sample,
    *,
    methods: Sequence[str] = METHODS,
    seeds: int = 3,
    weight: float = WEIGHT,
    schedule: Schedule | None = None,
) -> Section:
    """Trains and measures.

    Args:
        sample: as many of its scenes as all of its sets have are measured, of one class each.
        methods: whose maps are measured.
        seeds: trainings of each kind, at least 2.
        weight: of the distance of the gradients in the loss, above 0.
        schedule: of the trainings; None: the default.
    """
    schedule, protocol = schedule or Schedule(), Protocol()
    contenders = [Contender.parse(text) for text in methods]
    images = sample.count * sample.sets
    runs: dict[float, list[Mapping[str, float]]] = {0.0: [], weight: []}
    for seed in range(seeds):
        for own, found in runs.items():
            network = build()
            network.load_state_dict(load_file(trained(sample.folder, seed, own, schedule)))
            classifier = replace(sample.classifier, network=network.eval().requires_grad_(False))
            found.append(figures(classifier, contenders, images, protocol))
    return Section(
        name="interpretable-gradients",
        title="A learning paradigm for interpretable gradients",
        text="The paper's claims: a network that is trained to have gradients like those of guided backpropagation is"
        " about as accurate, and its maps are a little better by most measures.",
        settings={
            "trained": f"the scenes classifier, further, on {schedule.scenes} scenes seen {schedule.coarse_epochs}"
            f" times at half and {schedule.epochs} times at full resolution",
            "weight in the loss": f"0 and {weight:g}",
            "pictures": f"{images} held-out scenes of one class; the true class is explained and scored",
            "maps are laid on": protocol.mask,
            "insertion starts from, deletion ends in": f"{protocol.insertion}, {protocol.deletion}",
            "steps of insertion and deletion": str(protocol.steps),
        },
        tables=[table(*runs.values())],
    )


def table(standard: Sequence[Mapping[str, float]], interpretable: Sequence[Mapping[str, float]]) -> Table:
    """Both trainings and what the loss changes, seed by seed; a row per measure."""
    rows = {}
    for title in standard[0]:
        before, after = (np.array([run[title] for run in runs]) for runs in (standard, interpretable))
        rows[title] = [Figure.over(values.tolist()) for values in (before, after, after - before)]
    return Table(
        name="interpretable-gradients",
        caption=f"Standard and interpretable training: means over {len(standard)} seeds, ± their standard deviation."
        " The change is taken seed by seed.",
        columns=[Column("standard", digits=2), Column("interpretable", digits=2), Column("change", digits=2)],
        rows=rows,
        by="measure",
    )


def figures(
    classifier: Classifier, contenders: Sequence[Contender], images: int, protocol: Protocol
) -> dict[str, float]:
    """Means over held-out scenes of one class, by title; the true class is explained and scored."""
    values = defaultdict(list)
    for first in range(0, images, BATCH):
        batch = pictures(["one-class"], 0, range(first, min(first + BATCH, images)), classifier.size)
        for title, rows in _of_batch(classifier, contenders, batch, protocol).items():
            values[title].append(rows)
    return {title: float(torch.cat(rows).double().mean()) for title, rows in values.items()}


def _of_batch(
    classifier: Classifier, contenders: Sequence[Contender], batch: Pictures, protocol: Protocol
) -> dict[str, Tensor]:
    mean, std = torch.tensor(classifier.mean), torch.tensor(classifier.std)
    inputs = (batch.images - mean[:, None, None]) / std[:, None, None]
    run = forward_from_picture(classifier.network, inputs)
    gradients = run.gradients(lambda outputs: outputs.gather(1, batch.labels[:, None]))[:, 0]
    with torch.no_grad():
        apart = interpretable_loss(classifier.network, inputs, batch.labels).distance
    found = {
        "accuracy % ↑": 100 * (run.outputs.argmax(1) == batch.labels),
        "total variation of the gradient ↓": total_variation(gradients),
        "cosine of gradient and guided gradient ↑": (1 - apart).expand(len(inputs)),
    }
    for contender in contenders:
        maps = mask_of(contender.maps(classifier, batch.images, batch.labels), classifier.size)
        faithful = faithfulness(
            classifier.probabilities, batch.images, maps, batch.labels, protocol=protocol, mean=mean
        )
        found |= {f"{contender.name}: {title}": 100 * getattr(faithful, field) for field, title in TITLES.items()}
    return found
