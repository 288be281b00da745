"""What a model says of itself, with the look-ups that checking a request needs."""

from collections.abc import Sequence

from camserve.image import ImageLimits
from camserve.v1 import explanation_pb2 as pb


class Card:
    """A model's description.

    Attributes:
        model: the description as its worker gave it, with the gateway's limit on image bytes.
        task: what the model does, in lower case, such as ``classify``.
        image_limits: bounds on images.
    """

    def __init__(self, model: pb.Model, max_image_bytes: int) -> None:
        """Takes a worker's description and the largest encoded image in bytes."""
        self.model = pb.Model()
        self.model.CopyFrom(model)
        self.model.limits.max_image_bytes = max_image_bytes
        self.task = pb.Task.Name(model.task).removeprefix("TASK_").lower()
        self.image_limits = ImageLimits(
            max_bytes=max_image_bytes,
            max_pixels=model.limits.max_image_pixels,
            min_side=model.limits.min_image_side,
            max_side=model.limits.max_image_side,
            max_aspect_ratio=model.limits.max_aspect_ratio,
        )
        self._methods = {name: method for method in model.methods for name in (method.id, *method.aliases)}
        self._indices: dict[str, list[int]] = {}
        for index, label in enumerate(model.labels):
            self._indices.setdefault(label.casefold(), []).append(index)

    @property
    def method_names(self) -> Sequence[str]:
        """The ids of the methods that work on the model."""
        return [method.id for method in self.model.methods]

    def method(self, name: str) -> pb.Method | None:
        """The method of an id or alias; the default one of an empty name."""
        return self._methods.get(name or self.model.default_method)

    def indices(self, label: str) -> Sequence[int]:
        """The indices of the classes of that label, whatever its case."""
        return self._indices.get(label.casefold(), ())
