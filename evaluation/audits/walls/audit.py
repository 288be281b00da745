"""What methods show behind the wall: of the trained network on stacked pictures, and of untrained ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from evaluation.audits.walls.initialisation import UntrainedBlindNetwork, behind_untrained_wall
from evaluation.audits.walls.measure import hidden_norm, shown
from evaluation.audits.walls.network import MaskedVGG
from evaluation.audits.walls.pictures import StackedPictures, stacked_scenes
from evaluation.classifier import Classifier, load_classifier
from evaluation.methods import Contender
from evaluation.report.section import Figure
from saliency.faithfulness import seen, unseen_share
from saliency.lean import often

BLIND: Final = Path(__file__).parent / "store" / "masked-vgg"
"""The network with the wall."""
SIGHTED: Final = Path(__file__).resolve().parents[3] / "model_store" / "scenes-classifier"
"""A network without one, for the same pictures."""
METHODS: Final = (
    *("grad-cam", "grad-cam++", "xgrad-cam", "hires-cam", "layer-cam", "score-cam", "ablation-cam", "eigen-cam"),
    *("opti-cam:steps=20", "input-gradient", "integrated-gradients:steps=16", "fake-cam", "centre", "uniform"),
)
PICTURES: Final = 120
UNTRAINED_METHODS: Final = ("grad-cam", "hires-cam")
UNTRAINED: Final = 8
"""Untrained networks, each with an image of its own."""
DRAWS: Final = 512
"""Of the dense weights of each."""
_UNTRAINED_SIDE, _UNTRAINED_CHANNELS, _UNTRAINED_ROWS = 28, 32, 7  # the authors' size, for MNIST; half the rows


@dataclass(frozen=True, eq=False)
class Maps:
    """A method's maps of all pictures, and what is measured on each.

    Attributes:
        shown: as the paper looks at them, ``[N, H, W]`` in [0, 1].
        norm: μ behind the wall, float64 ``[N]``; not a number for a map of zeros.
        unseen: share of the energy on pixels that cannot move the score, as a response tells it, ``[N]``.
        unseen_sighted: likewise, of the maps of the network without a wall; None if there is none.
    """

    shown: Tensor
    norm: Tensor
    unseen: Tensor
    unseen_sighted: Tensor | None


@dataclass(frozen=True)
class AtInitialisation:
    """What a method shows behind the wall of untrained networks, mean and spread over these.

    Attributes:
        ratio: mean of the map, divided by what the closed form says of Grad-CAM.
        positive: share of values above 0, in per cent.
    """

    ratio: Figure
    positive: Figure


@dataclass(frozen=True, eq=False)
class Findings:
    """All that the audit finds.

    Attributes:
        blind: name of the network with the wall.
        sighted: name of the one without; None if there is none.
        labels: of the classes.
        wall: the first hidden row of pixels.
        drawn: how many pictures were drawn.
        pictures: those whose upper half the blind network recognises.
        maps: by method or control.
        untrained: by method.
    """

    blind: str
    sighted: str | None
    labels: tuple[str, ...]
    wall: int
    drawn: int
    pictures: StackedPictures
    maps: Mapping[str, Maps]
    untrained: Mapping[str, AtInitialisation]


def audit(
    blind: Classifier, drawn: StackedPictures, sighted: Classifier | None = None, methods: Sequence[str] = METHODS
) -> Findings:
    """Audits methods; the class of the upper half of each picture is explained.

    Args:
        blind: a classifier with a wall.
        drawn: pictures that are stacked at its wall; those whose upper half it does not recognise are left out.
        sighted: a classifier of the same classes without a wall, if there is one.
        methods: ids with options, and controls, as :class:`evaluation.methods.Contender` reads them.

    Raises:
        TypeError: the classifier has no wall.
        ValueError: a method or an option is not known, or no picture is recognised.
    """
    contenders = [Contender.parse(text) for text in dict.fromkeys(methods)]
    wall = wall_of(blind)
    pictures = _recognised(drawn, blind)
    images, classes = pictures.images, pictures.above
    visible = _visible(blind, images, classes)
    seen_by_sighted = None if sighted is None else _visible(sighted, images, classes)
    found = {}
    for contender in contenders:
        raw = contender.maps(blind, images, classes)
        unseen_sighted = None
        if sighted is not None and seen_by_sighted is not None:
            unseen_sighted = _unseen(contender.maps(sighted, images, classes), seen_by_sighted)
        looked_at = shown(raw, blind.size)
        found[contender.name] = Maps(looked_at, hidden_norm(looked_at, wall), _unseen(raw, visible), unseen_sighted)
    return Findings(
        blind=blind.name,
        sighted=None if sighted is None else sighted.name,
        labels=blind.labels,
        wall=wall,
        drawn=len(drawn.above),
        pictures=pictures,
        maps=found,
        untrained={method: at_initialisation(method) for method in UNTRAINED_METHODS},
    )


def audit_scenes(methods: Sequence[str] = METHODS, count: int = PICTURES) -> Findings:
    """Audits methods on the networks for scenes.

    Args:
        methods: as for :func:`audit`.
        count: pictures to draw.
    """
    blind, sighted = load_classifier(BLIND), load_classifier(SIGHTED)
    return audit(blind, stacked_scenes(count, blind.size[0], wall_of(blind)), sighted, methods)


def wall_of(classifier: Classifier) -> int:
    """The first row of pixels that a classifier cannot see.

    Raises:
        TypeError: it is none with a wall.
    """
    network = classifier.network
    if not isinstance(network, MaskedVGG):
        raise TypeError(f"{classifier.name}: its network is {type(network).__name__}, which has no wall")
    return network.wall


def at_initialisation(method: str, networks: int = UNTRAINED, draws: int = DRAWS) -> AtInitialisation:
    """Explains noise with untrained networks, each from its own seed."""
    found = []
    for seed in range(networks):
        generator = torch.Generator().manual_seed(seed)
        network = UntrainedBlindNetwork(
            side=_UNTRAINED_SIDE,
            channels=_UNTRAINED_CHANNELS,
            seen_rows=_UNTRAINED_ROWS,
            draws=draws,
            generator=generator,
        )
        image = torch.randn(3, _UNTRAINED_SIDE, _UNTRAINED_SIDE, generator=generator)
        found.append(behind_untrained_wall(network.eval(), image, method))
    return AtInitialisation(
        ratio=Figure.over([behind.mean / behind.expected_mean for behind in found]),
        positive=Figure.over([100 * behind.positive for behind in found]),
    )


def _recognised(drawn: StackedPictures, classifier: Classifier) -> StackedPictures:
    right = classifier.probabilities(drawn.images).argmax(1) == drawn.above
    if not right.any():
        raise ValueError(f"{classifier.name} recognises the upper half of none of {len(right)} pictures")
    return drawn.only(right)


def _unseen(raw: Tensor, visible: Tensor) -> Tensor:
    return unseen_share(raw[:, None], visible)[:, 0].double()


def _visible(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """Which pixels can move the score of a class each, bool ``[N, 1, H, W]``."""
    inputs = classifier.normalised(images)
    return seen(often(classifier.network, inputs[:1]), inputs, [[target] for target in classes.tolist()])
