"""Average drop, gain and increase, insertion and deletion, with the choices that published numbers differ by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from saliency.faithfulness import Faithfulness, Score, blurred, measure

Probabilities = Callable[[Tensor], Tensor]
"""A model or a service: probabilities ``[R, classes]`` of images ``[R, 3, H, W]`` in [0, 1]."""


def _black(images: Tensor, _mean: Tensor) -> Tensor:
    return torch.zeros_like(images[:1])


def _mean(images: Tensor, mean: Tensor) -> Tensor:
    return mean.to(images)[:, None, None].expand_as(images[:1])


def _blurred(images: Tensor, _mean: Tensor) -> Tensor:
    return blurred(images)


BASELINES: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = MappingProxyType(
    {"black": _black, "mean": _mean, "blur": _blurred}
)
"""What can stand for a pixel that is not seen, by name; each makes images ``[N or 1, 3, H, W]`` of images and the mean
colour ``[3]`` of the model's normalisation, which is the zero of its normalised input."""


@dataclass(frozen=True)
class Protocol:
    """The choices.

    Attributes:
        classes: ``label`` scores the true class, as Zhang et al. (Opti-CAM) do for drop, gain and increase;
            ``predicted`` the model's own, as Chattopadhay et al. (Grad-CAM++) and Petsiuk et al. (RISE) do.
        mask: what is seen where the map is 0. ``black`` lays the map on the pixels, before mean and deviation are
            applied, as the Opti-CAM authors do; ``mean`` is the same as laying it on the normalised input, as
            pytorch-grad-cam and torch-cam do.
        insertion: what pixels are inserted into.
        deletion: what is left of deleted pixels; RISE takes the mean colour, Opti-CAM says zero.
        steps: of insertion and deletion; RISE takes as many as there are rows.
    """

    classes: str = "label"
    mask: str = "black"
    insertion: str = "blur"
    deletion: str = "black"
    steps: int = 28

    def __post_init__(self) -> None:
        """Checks the choices.

        Raises:
            ValueError: if one is not known.
        """
        if self.classes not in ("label", "predicted"):
            raise ValueError(f"classes must be label or predicted, not '{self.classes}'")
        for field in ("mask", "insertion", "deletion"):
            if getattr(self, field) not in BASELINES:
                raise ValueError(f"{field} must be one of {', '.join(BASELINES)}, not '{getattr(self, field)}'")
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")

    def chosen(self, labels: Tensor, probabilities: Tensor) -> Tensor:
        """The classes ``[N]`` to explain and score, of labels ``[N]`` and probabilities ``[N, classes]``."""
        return labels if self.classes == "label" else probabilities.argmax(1)


def class_score(probabilities: Probabilities, classes: Tensor) -> Score:
    """Scores disturbed images for the class ``classes[row]`` of the row they are made of."""
    return lambda images, rows: probabilities(images).gather(1, classes[rows, None])[:, 0]


def faithfulness(
    probabilities: Probabilities, images: Tensor, maps: Tensor, classes: Tensor, *, protocol: Protocol, mean: Tensor
) -> Faithfulness:
    """Measures maps.

    Args:
        probabilities: of the model.
        images: ``[N, 3, H, W]`` in [0, 1].
        maps: ``[N, H, W]`` in [0, 1].
        classes: which class each map explains, ``[N]``.
        protocol: the choices.
        mean: colour ``[3]`` in [0, 1] that the model's normalisation takes off.
    """
    baseline = {name: BASELINES[name](images, mean) for name in {protocol.mask, protocol.insertion, protocol.deletion}}
    return measure(
        class_score(probabilities, classes),
        images,
        maps,
        hidden=baseline[protocol.mask],
        start=baseline[protocol.insertion],
        end=baseline[protocol.deletion],
        steps=protocol.steps,
    )
