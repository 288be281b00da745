"""Which layers a map is read from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from saliency.hooks import watch

LayersLike = str | nn.Module | Sequence[str | nn.Module] | None
"""Layers as callers give them: dotted names, modules, or lists of either; None for the automatic choice."""

_POOLING = (
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.AvgPool2d,
    nn.MaxPool2d,
    nn.LPPool2d,
)


class LayerError(ValueError):
    """A layer that the model does not have, or that cannot be explained."""


@dataclass(frozen=True)
class Layer:
    """A module of a model.

    Attributes:
        name: its dotted name.
        module: itself.
    """

    name: str
    module: nn.Module

    def spatial(self, values: Tensor) -> Tensor:
        """The layer's values as ``[B, C, h, w]``.

        Raises:
            LayerError: they have no two spatial dimensions.
        """
        if values.dim() != 4:
            raise LayerError(
                f"layer '{self.name}' gives {list(values.shape)}, which has no rows and columns;"
                " choose a layer that gives [batch, channels, height, width]"
            )
        return values


def resolve(model: nn.Module, layers: LayersLike, run: Callable[[], Any]) -> tuple[Layer, ...]:
    """Finds the layers that a caller names, or chooses one.

    Args:
        model: the model.
        layers: what the caller gave.
        run: runs the model once without graph; called only if the choice is automatic and not yet known.

    Raises:
        LayerError: the model has no such layer, or none that is spatial.
        TypeError: a layer is neither a name nor a module.
    """
    if layers is None:
        return (last_spatial(model, run),)
    if isinstance(layers, str | nn.Module):
        layers = [layers]
    if not layers:
        raise LayerError("layers is empty; name at least one layer, or give None for the automatic choice")
    modules = dict(model.named_modules())
    names = {module: name for name, module in modules.items()}
    found = []
    for entry in layers:
        if isinstance(entry, str):
            if entry not in modules:
                near = get_close_matches(entry, modules, n=3)
                raise LayerError(f"the model has no layer '{entry}'" + (f"; near: {', '.join(near)}" if near else ""))
            found.append(Layer(entry, modules[entry]))
        elif isinstance(entry, nn.Module):
            if entry not in names:
                raise LayerError(f"the {type(entry).__name__} given as a layer is not part of the model")
            found.append(Layer(names[entry], entry))
        else:
            raise TypeError(f"a layer must be a dotted name or a module, not {type(entry).__name__}")
    if len({layer.module for layer in found}) < len(found):
        raise LayerError(f"layers names one layer twice: {', '.join(layer.name for layer in found)}")
    return tuple(found)


def last_spatial(model: nn.Module, run: Callable[[], Any]) -> Layer:
    """The last module before pooling whose output has rows and columns: where class evidence is still placed.

    Found by watching one forward, then remembered for the model.

    Raises:
        LayerError: no module gives ``[batch, channels, height, width]`` with more than one cell.
    """
    if model not in _chosen:
        _chosen[model] = spatial_layers(model, run)[-1]
    return Layer(_chosen[model], model.get_submodule(_chosen[model]))


def spatial_layers(model: nn.Module, run: Callable[[], Any]) -> list[str]:
    """Dotted names of all modules that can be explained, in the order in which they end in the forward.

    Raises:
        LayerError: there are none.
    """
    order: dict[str, None] = {}

    def see(name: str, output: Any) -> None:
        order.pop(name, None)
        if isinstance(output, Tensor) and output.dim() == 4 and output.shape[-2] * output.shape[-1] > 1:
            order[name] = None

    candidates = {m: n for n, m in model.named_modules() if n and not isinstance(m, _POOLING)}
    with watch({module: partial(see, name) for module, name in candidates.items()}):
        run()
    if not order:
        raise LayerError(
            "no layer of the model gives [batch, channels, height, width] with more than one cell; name one in layers"
        )
    return list(order)


_chosen: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
