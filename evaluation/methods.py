"""What is compared: methods with options, as ``grad-cam`` or ``opti-cam:steps=50,objective=diff``, and controls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

import saliency
from evaluation.controls import CONTROLS
from evaluation.subject import Subject


@dataclass(frozen=True)
class Contender:
    """A method with options, or a control.

    Attributes:
        name: as it was written, and as it stands in tables.
        method: id or alias of the method, or name of the control.
        options: those that were given.
    """

    name: str
    method: str
    options: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> "Contender":
        """Reads ``method`` or ``method:option=value,option=value``.

        Raises:
            ValueError: the method or an option is not known, or a value is not allowed.
        """
        name, _, rest = text.partition(":")
        pairs = [pair.partition("=")[::2] for pair in rest.split(",")] if rest else []
        if name in CONTROLS:
            if pairs:
                raise ValueError(f"{text}: {name} is a control and has no options")
            return cls(text, name, {})
        method = saliency.method(name)
        known = {option.name: option for option in method.options()}
        options = {}
        for key, value in pairs:
            if key not in known:
                raise ValueError(f"{text}: {method.id} has no option '{key}'; it has {', '.join(known) or 'none'}")
            try:
                options[key] = type(known[key].default)(value)
            except ValueError as error:
                raise ValueError(f"{text}: {key} must be of type {type(known[key].default).__name__}") from error
            known[key].check(options[key])
        return cls(text, method.id, options)

    def maps(self, subject: Subject, images: Tensor, classes: Tensor) -> Tensor:
        """Raw maps ``[N, h, w]`` of images ``[N, 3, H, W]`` for a class each."""
        if self.method in CONTROLS:
            height, width = images.shape[-2:]
            return CONTROLS[self.method](height, width).expand(len(images), height, width)
        return subject.maps(images, classes, self.method, self.options)
