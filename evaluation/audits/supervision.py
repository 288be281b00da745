"""What a segmentation network learns from maps instead of masks: ``python -m evaluation.audits.supervision``.

Weakly supervised segmentation, as in Kolesnikov and Lampert, "Seed, expand and constrain" (ECCV 2016), with the seeds
of Ahn and Kwak, "Learning pixel-level semantic affinity" (CVPR 2018): each training picture's classes are known, their
maps label its pixels, and a network is trained on these labels. The better the maps lie on the objects, the better it
segments pictures that it has not seen.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from evaluation.audits.command import run
from evaluation.audits.overlays import picture
from evaluation.audits.segmenter import Seen, Segmenter, fit
from evaluation.classifier import Classifier
from evaluation.controls import CONTROLS
from evaluation.measures.segmentation import BACKGROUND, confusion, mean_iou, seeds
from evaluation.methods import Contender
from evaluation.pictures.picture import Pictures
from evaluation.pictures.scenes import pictures
from evaluation.progress import Progress
from evaluation.report.section import Better, Column, Figure, Gallery, Picture, Plot, Section, Table
from saliency.faithfulness import mask_of

METHODS: Final = (
    *("input-gradient", "grad-cam", "grad-cam++", "layer-cam", "score-cam:max_channels=16", "eigen-cam"),
    *("fake-cam", "centre"),
)
"""Of each family one or two, and controls."""
KINDS: Final = ("one-class", "two-class")
"""Of scenes."""
THRESHOLDS: Final = (0.02, 0.05, *(step / 10 for step in range(1, 10)))
"""Of normalised maps, below which a pixel is background."""
EPOCHS: Final = 12
HELD_OUT: Final = 96
"""Pictures that the networks are measured on."""
MASKS: Final = "true masks"
"""Row of the upper bound."""
_BATCH = 16  # maps at a time
_SHOWN = 3  # pictures in the gallery
_COLOURS: Final = (
    *((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    *((140, 86, 75), (227, 119, 194), (188, 189, 34), (23, 190, 207), (250, 220, 60)),
)


@dataclass(frozen=True, eq=False)
class Seeds:
    """What a method's maps say of the training pictures' pixels.

    Attributes:
        overlaps: mIoU with the true masks in [0, 1], per threshold of ``THRESHOLDS``.
        threshold: that of the largest mIoU.
        labels: of the pixels at that threshold, int64 ``[N, H, W]``.
    """

    overlaps: Sequence[float]
    threshold: float
    labels: Tensor

    @classmethod
    def of(cls, contender: Contender, classifier: Classifier, batch: Pictures) -> "Seeds":
        """Explains every class of every picture."""
        count = len(classifier.labels)
        owners, classes = _present(batch.truth, count).nonzero().unbind(1)
        chunks = (
            mask_of(contender.maps(classifier, batch.images[rows], own), classifier.size)
            for rows, own in zip(torch.split(owners, _BATCH), torch.split(classes, _BATCH), strict=True)
        )
        maps = torch.cat(list(chunks))
        places = [(owners == index).nonzero()[:, 0] for index in range(len(batch.images))]

        def at(threshold: float) -> Tensor:
            return torch.stack([seeds(maps[own], classes[own].tolist(), threshold) for own in places])

        overlaps = [mean_iou(confusion(at(threshold), batch.truth, count)) for threshold in THRESHOLDS]
        best = THRESHOLDS[overlaps.index(max(overlaps))]
        return cls(overlaps, best, at(best))


def supervision(
    classifier: Classifier, contenders: Sequence[Contender], *, images: int = 192, runs: int = 2, seed: int = 0
) -> Section:
    """Trains a segmentation network on the seeds of each contender, and one on the true masks.

    Args:
        classifier: of scenes, whose features the network reads.
        contenders: methods and controls.
        images: scenes that are trained on; the classifier has not seen them.
        runs: trainings, over which figures spread.
        seed: of these.

    Raises:
        ValueError: a method does not work on the network.
        LayerError: the classifier's layer has no rows and columns.
    """
    training = pictures(KINDS, 0, range(images), classifier.size)
    held_out = pictures(KINDS, 1, range(HELD_OUT), classifier.size)
    seen, unseen = (Seen.by(classifier, batch.images) for batch in (training, held_out))
    progress = Progress((1 + runs) * len(contenders) + runs, "maps and trainings")
    found: dict[str, Seeds] = {}
    for contender in contenders:
        found[contender.name] = Seeds.of(contender, classifier, training)
        progress.advance(1, f"maps of {contender.name}")

    labels = {MASKS: training.truth, **{name: own.labels for name, own in found.items()}}
    overlaps: dict[str, list[float]] = {}
    segmented: dict[str, Tensor] = {}
    count = len(classifier.labels)
    for name, own in labels.items():
        overlaps[name] = []
        for run_seed in range(seed, seed + runs):
            model: Segmenter = fit(seen, own, count, epochs=EPOCHS, seed=run_seed)
            segmented[name] = model.segment(unseen)
            overlaps[name].append(mean_iou(confusion(segmented[name], held_out.truth, count)))
            progress.advance(1, f"training on {name}")
    progress.end()
    return Section(
        name="supervision",
        title="What a segmentation network learns from maps",
        text=_text(overlaps, found),
        settings={
            "model": classifier.name,
            "pictures": f"scenes ({', '.join(KINDS)}), {images} to train on and {HELD_OUT} held out",
            "network": "a few convolutions on the classifier's features, which stay, and on edges",
            "training": f"{EPOCHS} epochs, {runs} times from seed {seed}",
            "seeds": "every class that is there is explained; pixels go to the largest map, or to the background below"
            f" a threshold, of {THRESHOLDS[0]:g} to {THRESHOLDS[-1]:g} that of the best mIoU on the training pictures",
            "mIoU": f"over {count} classes and the background, all pixels pooled",
        },
        tables=[_table(overlaps, found, images, runs)],
        plots=[_plot(found)],
        galleries=[_gallery(held_out, segmented)],
    )


def _present(truth: Tensor, classes: int) -> Tensor:
    """Which classes are there, bool ``[N, classes]``."""
    return torch.stack([(truth == index).flatten(1).any(1) for index in range(classes)], 1)


def _table(overlaps: Mapping[str, Sequence[float]], found: Mapping[str, Seeds], images: int, runs: int) -> Table:
    rows: dict[str, list[Figure | None]] = {}
    for name, values in overlaps.items():
        own = found.get(name)
        rows[name] = [
            Figure.over([100 * value for value in values]),
            Figure(100 * max(own.overlaps)) if own else None,
            Figure(own.threshold) if own else None,
        ]
    return Table(
        name="supervision",
        caption=f"A segmentation network trained on {images} pictures labelled by maps, measured on {HELD_OUT} held-out"
        f" ones against true masks. Mean of {runs} trainings, ± their standard deviation.",
        columns=[
            Column("mIoU of the network %", Better.HIGHER),
            Column("mIoU of the seeds %", Better.HIGHER),
            Column("threshold"),
        ],
        rows=rows,
        apart=(MASKS,),
    )


def _plot(found: Mapping[str, Seeds]) -> Plot:
    return Plot(
        name="seeds-by-threshold",
        caption="How well the seeds fit the true masks of the training pictures, by the threshold of the background.",
        across="threshold",
        up="mIoU of the seeds %",
        lines={
            name: [(at, 100 * value) for at, value in zip(THRESHOLDS, own.overlaps, strict=True)]
            for name, own in found.items()
        },
    )


def _gallery(held_out: Pictures, segmented: Mapping[str, Tensor]) -> Gallery:
    rows = {}
    for index in range(min(_SHOWN, len(held_out.images))):
        image = held_out.images[index]
        columns = [picture(image), _coloured(image, held_out.truth[index])]
        rows[held_out.names[index]] = columns + [_coloured(image, labels[index]) for labels in segmented.values()]
    return Gallery(
        caption="Held-out pictures as the networks segment them, by what these were trained on; a colour per class.",
        titles=["picture", "truth", *segmented],
        rows=rows,
    )


def _coloured(image: Tensor, labels: Tensor) -> Picture:
    """Labels ``[H, W]`` in colours over a faded picture."""
    grey = image.mean(0, keepdim=True).expand_as(image) / 2
    colours = torch.tensor(_COLOURS)[labels.clamp_min(0) % len(_COLOURS)].permute(2, 0, 1) / 255
    return picture(torch.where(labels == BACKGROUND, grey, 0.3 * grey + 0.7 * colours))


def _text(overlaps: Mapping[str, Sequence[float]], found: Mapping[str, Seeds]) -> str:
    means = {name: 100 * sum(values) / len(values) for name, values in overlaps.items()}
    methods = [name for name in found if name not in CONTROLS]
    told = [
        "A network learns to segment from maps alone: each training picture's classes are known, and their maps label"
        f" its pixels. With the true masks in place of maps it reaches an mIoU of {means[MASKS]:.0f} %."
    ]
    if methods:
        best = max(methods, key=means.__getitem__)
        told.append(f"The best teacher is {best}, with {means[best]:.0f} %.")
    controls = [f"{name} {means[name]:.0f} %" for name in found if name in CONTROLS]
    if controls:
        told.append(f"Maps that know nothing of the picture but its classes: {', '.join(controls)}.")
    return "\n\n".join(told)


if __name__ == "__main__":
    sys.exit(run(supervision, __doc__, METHODS, images=192))
