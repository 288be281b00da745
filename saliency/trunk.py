"""Models whose trunk runs by other means, such as a compiled copy of it.

A *cut* is a layer that all which the image does to the output goes through. What comes before it, the trunk, is a
function of the image that may be had in any way; what comes after it, the head, is the model's own, so that it can be
watched and differentiated.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import has_torch_function

from saliency.capture import Inputs
from saliency.head import Head
from saliency.hooks import replaced, watch, watched
from saliency.layers import Layer, LayerError

Run = Callable[[Tensor], Tensor]
"""From images ``[B, 3, H, W]`` to what the cut gives for them, a tensor that nobody else has."""

_CANDIDATES = 8


def find_cut(model: nn.Module, inputs: Inputs, layer: Layer) -> Layer:
    """The layer itself if it is a cut, else the last one before it that is.

    Args:
        model: in evaluation mode.
        inputs: images that it takes.
        layer: what is to be explained above the trunk.

    Raises:
        LayerError: there is none near it.
    """
    names = {module: name for name, module in model.named_modules()}
    head = Head(model, inputs, layer, around=False)
    if _cuts(head):
        return layer
    for module in reversed(head.before[-_CANDIDATES:]):
        candidate = Layer(names[module], module)
        if _cuts(Head(model, inputs, candidate, around=False)):
            return candidate
    raise LayerError(f"something goes around layer '{layer.name}' and all before it, so the model has no trunk")


class Trunk(nn.Module):
    """What a model does up to a cut, as a module of its own; for compilers."""

    def __init__(self, model: nn.Module, cut: Layer) -> None:
        super().__init__()
        self.model, self._cut = model, cut.name

    def forward(self, images: Tensor) -> Tensor:
        """What the cut gives for images ``[B, 3, H, W]``."""
        found: list[Tensor] = []
        # A copy, for what follows may work in place.
        with torch.no_grad(), watch({self.model.get_submodule(self._cut): lambda out: found.append(out.clone())}):
            self.model(images)
        return found[-1]


def run_by(model: nn.Module, cut: Layer, example: Tensor, run: Run) -> None:
    """Has a model's trunk run by something else wherever nobody looks into it.

    That is where no graph of it is wanted, nothing in it is watched or replaced, and the images are like the example;
    else its own modules run, as ever.

    Args:
        model: in evaluation mode.
        cut: where the trunk ends.
        example: images as they will come, ``[B, 3, H, W]``.
        run: does what the trunk does.

    Raises:
        LayerError: the layer is no cut.
    """
    head = Head(model, example, cut, around=False)
    if not _cuts(head):
        raise LayerError(f"something goes around layer '{cut.name}', so nothing can run in place of what is before it")
    model.forward = _Forward(model, head, example, run)


def runs_elsewhere(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call of the model now, with these arguments, would have its trunk run by other means."""
    forward = vars(model).get("forward")
    return isinstance(forward, _Forward) and forward.stands_in(args, kwargs)


def _cuts(head: Head) -> bool:
    return head.alone and head.whole


class _Forward:
    """The forward of a model whose trunk runs by other means."""

    def __init__(self, model: nn.Module, head: Head, example: Tensor, run: Run) -> None:
        self._own, self._head, self._run = model.forward, head, run
        self._like = (example.shape[1:], example.dtype, example.device)
        cut = head.layer.module
        self._stood_for = frozenset((cut, *head.before))
        self._unseen = frozenset(part for module in self._stood_for for part in module.modules()) - {cut}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.stands_in(args, kwargs):
            return self._own(*args, **kwargs)
        (images,) = args
        # The head does not depend on which images they are: all are the example's first.
        return self._head.resume(self._run(images), images.new_zeros(len(images), dtype=torch.int64))

    def stands_in(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether the trunk can run by other means, given what the model is called with."""
        if kwargs or len(args) != 1:
            return False
        (images,) = args
        return (
            isinstance(images, Tensor)
            and (images.shape[1:], images.dtype, images.device) == self._like
            and not torch.is_grad_enabled()
            and not has_torch_function((images,))  # something watches functions, such as attention
            and self._unseen.isdisjoint(watched())
            and self._stood_for.isdisjoint(replaced())
        )
