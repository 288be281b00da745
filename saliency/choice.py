"""Which layers a map is read from: those that a caller names, or one that is chosen by what the model does."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from saliency.capture import Inputs, call, first_tensor, scores_of
from saliency.hooks import watch
from saliency.layers import Layer, LayerError, LayersLike
from saliency.survey import Grid, blank, survey


def resolve(model: nn.Module, layers: LayersLike, inputs: Inputs) -> tuple[Layer, ...]:
    """Finds the layers that a caller names, or chooses one.

    Args:
        model: the model.
        layers: what the caller gave.
        inputs: images that the model takes; only their size matters.

    Raises:
        LayerError: the model has no such layer, or none that is spatial.
        TypeError: a layer is neither a name nor a module.
    """
    if layers is None:
        return (last_spatial(model, inputs),)
    if isinstance(layers, str | nn.Module):
        layers = [layers]
    if not layers:
        raise LayerError("layers is empty; name at least one layer, or give None for the automatic choice")
    found = _named(model, layers)
    if len(set(found)) < len(found):
        raise LayerError(f"layers names one layer twice: {', '.join(layer.name for layer in found)}")
    seen = survey(model, inputs)
    known = {layer.module: layer for layer in seen.grids}
    for layer in found:
        if layer.name in seen.ambiguous:
            raise LayerError(
                f"layer '{layer.name}' gives as many channels as rows and columns, and the network has maps with"
                " channels first and maps with channels last; choose a layer whose sides differ"
            )
    return tuple(known.get(layer.module, layer) for layer in found)


def _named(model: nn.Module, layers: Sequence[str | nn.Module]) -> list[Layer]:
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
    return found


def last_spatial(model: nn.Module, inputs: Inputs) -> Layer:
    """The last layer before pooling whose cells reach the scores: where class evidence is still placed.

    In a network of convolutions that is the last output with rows and columns. Where tokens attend to each other it is
    the last block or norm whose patch tokens, if a NaN is put in them, make the scores NaN. So if a class token alone
    is read in the end, it is the norm before the last attention, after which the patches no longer matter. If patches
    are averaged in the end, as in Swin, it is what comes before that average: the norm through which all evidence
    passes, where Grad-CAM is CAM.

    Found once, then remembered for the model.

    Raises:
        LayerError: no layer has more than one cell, or none reaches the scores.
    """
    grids = _spatial(model, inputs)
    if model not in _chosen:
        _chosen[model] = _last(model, inputs, list(grids)).name
    for layer in grids:
        if layer.name == _chosen[model]:
            return layer
    raise LayerError(f"layer '{_chosen[model]}' has but one cell for inputs of this size; name a layer in layers")


def stages(model: nn.Module, inputs: Inputs) -> tuple[Layer, ...]:
    """The last layer of each resolution, from the finest that comes first in the forward to the last.

    Raises:
        LayerError: there are none.
    """
    grids = _spatial(model, inputs)
    last = last_spatial(model, inputs)
    found = {grid: layer for layer, grid in grids.items()} | {grids[last]: last}
    return tuple(found.values())


def spatial_layers(model: nn.Module, inputs: Inputs) -> list[str]:
    """Dotted names of all layers that can be explained, in the order in which they end in the forward.

    Raises:
        LayerError: there are none.
    """
    return [layer.name for layer in _spatial(model, inputs)]


def _spatial(model: nn.Module, inputs: Inputs) -> Mapping[Layer, Grid]:
    grids = survey(model, inputs).grids
    if not grids:
        raise LayerError(
            "no layer of the model was found to have rows and columns with more than one cell; name one in layers that"
            " gives [batch, channels, height, width]"
        )
    return grids


def _last(model: nn.Module, inputs: Inputs, layers: Sequence[Layer]) -> Layer:
    if all(layer.grid is None for layer in layers):
        return layers[-1]
    for layer in reversed(layers):
        if _is_block_or_norm(layer.module) and (layer.grid is None or _reaches_scores(model, inputs, layer)):
            return layer
    raise LayerError("no layer was found whose cells reach the scores; name one in layers")


def _is_block_or_norm(module: nn.Module) -> bool:
    """Whether it has parts, or weights for channels alone; not a projection, nor a rearrangement."""
    parameters = list(module.parameters())
    return any(True for _ in module.children()) or (bool(parameters) and all(p.dim() == 1 for p in parameters))


def _reaches_scores(model: nn.Module, inputs: Inputs, layer: Layer) -> bool:
    with torch.no_grad(), watch({layer.module: partial(poisoned, layer)}):
        return bool(scores_of(call(model, blank(inputs, 1))).isnan().any())


def poisoned(layer: Layer, output: Any) -> Any:
    """A layer's output with NaN in its cells, whose way can be followed."""
    tensor, put = first_tensor(output)
    if tensor is None:
        return output
    own = tensor.clone()
    layer.spatial(own).fill_(float("nan"))
    return put(own)


_chosen: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
