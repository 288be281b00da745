"""One forward of a model in which chosen layers' outputs become the leaves of the graph.

Everything below the first of these layers (the trunk) runs without a graph, so nothing is stored for it and parameters
are never touched; only what comes after (the head) is differentiated, and only with respect to the layers' outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from saliency.hooks import watch
from saliency.layers import Layer, LayerError

Inputs = Tensor | Mapping[str, Tensor]
"""A batch of images ``[B, 3, H, W]``, or named inputs that share their first dimension."""


@dataclass(frozen=True)
class Pass:
    """One forward of a batch.

    Attributes:
        outputs: ``[B, N]``, attached to the head's graph.
        layers: the layers that were captured, in the order that was asked for.
        taps: their outputs, which the head's graph starts from.
    """

    outputs: Tensor
    layers: tuple[Layer, ...]
    taps: tuple[Tensor, ...]
    _known: dict[Callable[[Tensor], Tensor], tuple[Tensor, ...]] = field(default_factory=dict, init=False, repr=False)

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """``[B, C, h, w]`` for each layer, detached."""
        return tuple(layer.spatial(tap.detach()) for layer, tap in zip(self.layers, self.taps, strict=True))

    def gradients(self, score: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """Gradients of scores with respect to each layer's output, from one batched backward through the head.

        They are remembered: asking again for the same scores costs nothing.

        Args:
            score: from ``outputs`` to scores ``[B, K]``, of which row b depends on image b alone.

        Returns:
            ``[B, K, C, h, w]`` for each layer.

        Raises:
            LayerError: a layer's output does not reach the scores.
        """
        if score not in self._known:
            pairs = zip(self.layers, self._stacked(score), strict=True)
            self._known[score] = tuple(_per_image(layer, gradient) for layer, gradient in pairs)
        return self._known[score]

    def curvatures(self, score: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """Hessians of scores with respect to each layer's output, times that output: ``(∂²y/∂A²) A``.

        Args:
            score: as for :meth:`gradients`.

        Returns:
            ``[B, K, C, h, w]`` for each layer; zeros where the head is linear or piecewise so.

        Raises:
            LayerError: a layer's output does not reach the scores.
        """
        found = []
        for layer, tap, gradient in zip(self.layers, self.taps, self._stacked(score, twice=True), strict=True):
            with torch.enable_grad():
                slopes = (gradient * tap.detach()).flatten(1).sum(1)
            (product,) = _jacobian(slopes, (tap,)) if slopes.requires_grad else (None,)
            found.append(_per_image(layer, torch.zeros_like(gradient) if product is None else product))
        return tuple(found)

    def _stacked(self, score: Callable[[Tensor], Tensor], *, twice: bool = False) -> tuple[Tensor, ...]:
        """The gradients as ``[K, *tap.shape]``; with a graph of their own if they are to be differentiated twice."""
        with torch.enable_grad():
            totals = score(self.outputs).sum(0)
        if not totals.requires_grad:
            raise LayerError(
                f"the scores do not depend on {_names(self.layers)} by differentiable operations;"
                " is part of the model's forward under no_grad?"
            )
        stacked = _jacobian(totals, self.taps, create_graph=twice)
        unused = [layer for layer, gradient in zip(self.layers, stacked, strict=True) if gradient is None]
        if unused:
            raise LayerError(f"{_names(unused)} does not reach the scores; choose a layer that the output depends on")
        return tuple(gradient for gradient in stacked if gradient is not None)


def forward(model: Callable[..., Any], inputs: Inputs, layers: Sequence[Layer], *, graph: bool = True) -> Pass:
    """Runs the model once, the trunk without graph and the head with one.

    Args:
        model: the model.
        inputs: the batch.
        layers: whose outputs to capture.
        graph: whether gradients will be wanted; if not, the head runs without graph too.

    Raises:
        LayerError: a layer did not run, or gives no tensor.
    """
    taps: dict[nn.Module, Tensor] = {}

    def tap(layer: Layer, output: Any) -> Any:
        tensor, replace = first_tensor(output)
        if tensor is None:
            raise LayerError(f"{_names([layer])} gives {type(output).__name__}, in which no tensor was found")
        if not graph:
            taps[layer.module] = tensor.clone()  # what follows in place must not change what was captured
            return None
        # A later layer keeps its link to an earlier one; the first one in each path becomes a leaf.
        if not tensor.requires_grad:
            tensor = tensor.detach().requires_grad_()
        torch.set_grad_enabled(True)
        taps[layer.module] = tensor
        # The model goes on with a copy, for the same reason.
        return replace(tensor.clone())

    with torch.no_grad(), watch({layer.module: partial(tap, layer) for layer in layers}):
        outputs = scores_of(call(model, inputs))
    missing = [layer for layer in layers if layer.module not in taps]
    if missing:
        raise LayerError(f"{_names(missing)} did not run in the model's forward; choose a layer that does")
    return Pass(outputs, tuple(layers), tuple(taps[layer.module] for layer in layers))


def call(model: Callable[..., Any], inputs: Inputs) -> Any:
    """Calls a model on a batch or on named inputs."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(inputs)


def scores_of(raw: Any) -> Tensor:
    """The scores ``[B, ...]`` in what a model returned: a tensor, an object's ``logits``, or a tuple's first tensor.

    Raises:
        TypeError: there is none.
    """
    logits = getattr(raw, "logits", raw)
    tensor, _ = first_tensor(logits)
    if tensor is None:
        raise TypeError(
            f"the model returned {type(raw).__name__}, in which no scores were found; wrap it to return a tensor"
        )
    return tensor


def first_tensor(output: Any) -> tuple[Tensor | None, Callable[[Tensor], Any]]:
    """The first tensor of a layer's output, None if there is none, and how to put another in its place."""
    if isinstance(output, Tensor):
        return output, lambda tensor: tensor
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        kind = type(output)
        build = kind._make if hasattr(kind, "_make") else kind
        return output[0], lambda tensor: build((tensor, *output[1:]))
    return None, lambda tensor: tensor


def _jacobian(totals: Tensor, taps: tuple[Tensor, ...], *, create_graph: bool = False) -> tuple[Tensor | None, ...]:
    """``∂totals/∂tap`` as ``[K, *tap.shape]`` for each tap, or None where the tap does not reach them."""
    rows = torch.eye(len(totals), dtype=totals.dtype, device=totals.device)
    backward = partial(
        torch.autograd.grad, totals, taps, allow_unused=True, retain_graph=True, create_graph=create_graph
    )
    if len(rows) > 1:
        try:
            return backward(rows, is_grads_batched=True)
        except RuntimeError:
            pass  # some operations cannot be batched over (custom functions, in-place kernels): one row at a time
    columns = zip(*(backward(row) for row in rows), strict=True)
    with torch.set_grad_enabled(create_graph):
        return tuple(None if column[0] is None else torch.stack(column) for column in columns)


def _per_image(layer: Layer, gradient: Tensor) -> Tensor:
    """``[K, B, ...]`` as the backward gives it, as ``[B, K, C, h, w]``."""
    spatial = layer.spatial(gradient.flatten(0, 1))
    return spatial.reshape(*gradient.shape[:2], *spatial.shape[1:]).transpose(0, 1)


def _names(layers: Sequence[Layer]) -> str:
    return " and ".join(f"layer '{layer.name}'" for layer in layers)
