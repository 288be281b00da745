"""What is evaluated: a classifier, in this process or behind a server, seen from the pixels."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class Subject(Protocol):
    """Images in [0, 1] in, probabilities and maps out."""

    @property
    def name(self) -> str:
        """Name and version, for reports."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Of its classes."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its input in pixels."""

    @property
    def mean(self) -> tuple[float, ...] | None:
        """The colour that its normalisation takes off, in [0, 1]; None if it is not known."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Which are explained; none: the automatic choice."""

    @property
    def digest(self) -> str:
        """Tells results of other weights apart."""

    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities ``[R, classes]`` of images ``[R, 3, H, W]`` in [0, 1]."""

    def maps(self, images: Tensor, classes: Tensor, method: str, options: Mapping[str, Any]) -> Tensor:
        """Raw maps ``[N, h, w]`` of images ``[N, 3, H, W]`` in [0, 1] for a class each."""
