"""Running only what comes after a layer, for methods that disturb its activation many times.

The modules that ended before the layer did, the trunk, need not run again: something stands in for them. In most
networks all that they do reaches the output through the layer, and placeholders full of NaN will do, as one run proves.
Where some of it goes around the layer, as the stream of a transformer does, their own outputs are kept instead. Where
neither gives what the model gave, the whole model runs with the layer's output replaced.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from saliency.capture import Inputs, call, first_tensor, scores_of
from saliency.hooks import replace, watch
from saliency.layers import Layer, LayerError


class Head:
    """What a model does after one of its layers; runs without graph.

    Attributes:
        layer: the layer.
        activation: ``[B, ...]``, the layer's output for the undisturbed batch; the last if it runs several times.
        outputs: ``[B, N]``, the model's.
        alone: whether the head runs alone; else the whole model runs each time.
    """

    def __init__(self, model: nn.Module, inputs: Inputs, layer: Layer, *, around: bool = True) -> None:
        """Runs the model once or twice, and the head to see whether it gives the same.

        Args:
            model: the model.
            inputs: the batch.
            layer: where its head begins.
            around: whether the head may run alone if something of these images goes around the layer.

        Raises:
            LayerError: the layer did not run, or gives no tensor.
        """
        self.layer, self._model, self._inputs = layer, model, inputs
        self.alone = False
        for kind in (_Placeholder, _Values) if around else (_Placeholder,):
            if not self.alone:
                self._record(kind)
                self.alone = self._gives_the_same()

    @property
    def before(self) -> tuple[nn.Module, ...]:
        """The modules that ended before the layer did, in their order; a whole stands for its parts."""
        return tuple(self._before)

    @property
    def whole(self) -> bool:
        """Whether the activation is all that the layer gave, once."""
        return len(self._whole) == 1 and isinstance(self._whole[0], Tensor)

    def run(self, activation: Tensor, images: Tensor) -> Tensor:
        """The outputs ``[R, N]`` for R activations ``[R, ...]``, of which row r belongs to image ``images[r]``."""
        own = activation.clone()  # what follows in place must not change the caller's
        with torch.no_grad():
            return scores_of(self.resume(own, images)) if self.alone else self._run_whole(own, images)

    def resume(self, activation: Tensor, images: Tensor) -> Any:
        """What the model returns after the layer gave R activations, as :meth:`run`; with a graph if one is wanted.

        Only if the head runs alone. The activation may be changed in place.
        """
        given: dict[nn.Module, Iterator[Any]] = {
            module: (output.rows(images) for output in outputs) for module, outputs in self._before.items()
        }
        earlier = given.get(self.layer.module, ())
        given[self.layer.module] = chain(earlier, [self._output(activation, images)])
        with replace({module: partial(next, outputs, None) for module, outputs in given.items()}):
            return call(self._model, self._given.rows(images))

    def _record(self, kind: "type[_Values]") -> None:
        """Runs the model, noting what its modules give before the layer does."""
        self._before: dict[nn.Module, list[_Kept]] = {}
        self._whole: list[Any] = []
        ended: dict[nn.Module, list[_Kept]] = {}
        parts = {module: list(module.modules())[1:] for module in self._model.modules()}

        def see(module: nn.Module, output: Any) -> None:
            for part in parts[module]:
                ended.pop(part, None)  # the whole stands in for its parts
            if module is self.layer.module:
                self._before = {trunk: list(outputs) for trunk, outputs in ended.items()}
                self._whole.append(pytree.tree_map_only(Tensor, torch.clone, output))
            ended.setdefault(module, []).append(_Kept(output, kind))

        with torch.no_grad(), watch({module: partial(see, module) for module in parts}):
            self.outputs = scores_of(call(self._model, self._inputs))
        if not self._whole:
            raise LayerError(f"layer '{self.layer.name}' did not run in the model's forward; choose a layer that does")
        activation, _ = first_tensor(self._whole[-1])
        if activation is None:
            kind_given = type(self._whole[-1]).__name__
            raise LayerError(f"layer '{self.layer.name}' gives {kind_given}, in which no tensor was found")
        self.activation = activation
        self._given = _Kept(self._inputs, kind)

    def _gives_the_same(self) -> bool:
        """Whether the head alone gives what the model gave; the first image comes twice, to tell rows from images."""
        images = torch.arange(len(self.outputs) + 1, device=self.outputs.device) % len(self.outputs)
        expected = self.outputs[images]
        try:
            with torch.no_grad():
                outputs = scores_of(self.resume(self.activation[images], images))
        except Exception:  # whatever a model does when its parts give what they never gave
            return False
        return same_values(outputs, expected, equal_nan=True)

    def _run_whole(self, activation: Tensor, images: Tensor) -> Tensor:
        calls = iter([None] * (len(self._whole) - 1) + [self._output(activation, images)])
        inputs: Inputs = pytree.tree_map_only(Tensor, lambda value: value[images], self._inputs)
        with watch({self.layer.module: lambda _output: next(calls)}):
            return scores_of(call(self._model, inputs))

    def _output(self, activation: Tensor, images: Tensor) -> Any:
        """What the layer gives, with an activation in it."""
        if isinstance(self._whole[-1], Tensor):
            return activation
        _, put = first_tensor(_Kept(self._whole[-1], _Values).rows(images))
        return put(activation)


def same_values(found: Tensor, expected: Tensor, *, equal_nan: bool = False) -> bool:
    """Whether tensors are the same but for rounding, by the scale of what is expected."""
    tolerance = torch.finfo(expected.dtype).eps ** 0.5
    scale = expected.nan_to_num(0, 0, 0).abs().max().item()
    return found.shape == expected.shape and torch.allclose(
        found, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=equal_nan
    )


class _Values:
    """A tensor as it was."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor.clone()

    def rows(self, images: Tensor) -> Tensor:
        """``[R, ...]``, of which row r belongs to image ``images[r]``."""
        return self._tensor[images]


class _Placeholder(_Values):
    """NaN in the shape of a tensor, taking no memory and poisoning all that it reaches; whole numbers stay."""

    def __init__(self, tensor: Tensor) -> None:
        self._floating = tensor.is_floating_point()
        self._tensor = tensor.new_full((), torch.nan) if self._floating else tensor.clone()
        self._shape = tensor.shape

    def rows(self, images: Tensor) -> Tensor:
        """``[R, ...]``, of which row r belongs to image ``images[r]``."""
        return self._tensor.expand(len(images), *self._shape[1:]) if self._floating else super().rows(images)


class _Kept:
    """What a module gave, with something of a kind in place of each tensor.

    It is put together again only for rows: a packed sequence, for one, takes nothing but tensors.
    """

    def __init__(self, given: Any, kind: type[_Values]) -> None:
        leaves, self._spec = pytree.tree_flatten(given)
        self._leaves = [kind(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]

    def rows(self, images: Tensor) -> Any:
        """It for R rows, of which row r belongs to image ``images[r]``."""
        leaves = [leaf.rows(images) if isinstance(leaf, _Values) else leaf for leaf in self._leaves]
        return pytree.tree_unflatten(leaves, self._spec)
