"""Batch norms folded into the convolutions before them.

In evaluation mode a batch norm multiplies each channel by a number and adds another, which the convolution before it
does as well with other weights. That spares reading and writing its activations once more, forward and backward, and
costs reading and writing the weights: a gain where these are fewer, or serve many times.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from inspect import signature
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from saliency.capture import Inputs, call
from saliency.survey import blank

_batch_norm = signature(F.batch_norm)
_PROPERTIES: tuple[Any, ...] = (Tensor.shape, Tensor.ndim, Tensor.dtype, Tensor.device)
_LOOKS = {Tensor.dim, Tensor.size, Tensor.numel, *(each.__get__ for each in _PROPERTIES)}
"""What tells what a tensor is like, and not what it holds."""
_PRECISE = (torch.float32, torch.float64)
"""In half precision other weights are rounded otherwise, and give other scores."""

Weights = tuple[Tensor, Tensor]
"""A convolution's weight and bias."""


class Folded:
    """A model without those batch norms whose statistics are constants and which are all that reads a convolution.

    Which these are is looked at once for each model and remembered; a call in which something else reads a convolution
    is made anew with its norm. Nothing is changed on the model. Convolutions and norms with hooks are left alone.
    """

    def __init__(self, model: nn.Module, inputs: Inputs, layout: torch.memory_format, *, keep: bool) -> None:
        """Takes a model.

        Args:
            model: in evaluation mode.
            inputs: like those it will be called with.
            layout: of folded weights.
            keep: whether to keep folded weights, for calls by one thread with the weights the model has; else they are
                made for each call, where they are fewer than activations.
        """
        self._model, self._layout = model, layout
        self._pairs = _remembered(model, inputs)
        self._kept: dict[int, Weights] | None = {} if keep else None

    @property
    def folds(self) -> bool:
        """Whether the model has such norms."""
        return bool(self._pairs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model."""
        pairs = self._foldable(args, kwargs)
        fold = _Fold(pairs, self._layout, self._kept) if pairs else nullcontext()
        try:
            # A watcher may have set the mode before a call fails, and another is to begin as this one did.
            with fold, torch.set_grad_enabled(torch.is_grad_enabled()):
                return self._model(*args, **kwargs)
        except _ReadError as error:
            for pair in error.pairs:
                self._pairs.pop(id(pair.weight), None)  # for good
            return self(*args, **kwargs)

    def _foldable(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Pairs":
        """The pairs to fold in a call."""
        images = images_of((args, *kwargs.values()))
        if images is None or torch.is_autocast_enabled(images.device.type):
            return {}
        hooked = [module for module in self._model.modules() if module._forward_hooks or module._forward_pre_hooks]
        shown = {id(tensor) for module in hooked for tensor in (*module.parameters(False), *module.buffers(False))}
        return {
            place: pair
            for place, pair in tuple(self._pairs.items())  # another thread may find that one comes apart
            if (self._kept is not None or images.numel() * pair.share > pair.weight.numel())
            and pair.weight.dtype in _PRECISE
            and shown.isdisjoint((place, id(pair.norm["running_mean"])))
        }


@dataclass(frozen=True, eq=False)
class _Pair:
    """A convolution and the batch norm that is all that reads it.

    Attributes:
        weight: of the convolution.
        norm: the arguments of the batch norm.
        share: how many numbers the one hands to the other for each of the images' own.
    """

    weight: Tensor
    norm: Mapping[str, Any]
    share: float

    @property
    def moved(self) -> bool:
        """Whether the model went to another device or precision, for which it gets its statistics anew."""
        mean = self.norm["running_mean"]
        return bool(mean.device != self.weight.device or mean.dtype != self.weight.dtype)

    def folded(self, bias: Tensor | None, layout: torch.memory_format) -> Weights:
        """The convolution that does both, given its bias."""
        factor, offset, mean = self.norm["weight"], self.norm["bias"], self.norm["running_mean"]
        with torch.inference_mode(False), torch.no_grad():
            scale = (self.norm["running_var"] + self.norm["eps"]).rsqrt()
            scale = scale if factor is None else scale * factor
            shift = (-mean if bias is None else bias - mean) * scale
            weight = (self.weight * scale[:, None, None, None]).contiguous(memory_format=layout)
            return weight, shift if offset is None else shift + offset

    def ends_in(self, norm: Mapping[str, Any] | None) -> bool:
        """Whether these are the arguments of its norm."""
        if norm is None or norm["eps"] != self.norm["eps"]:
            return False
        return all(norm[name] is self.norm[name] for name in ("running_mean", "running_var", "weight", "bias"))


Pairs = dict[int, _Pair]
"""By the id of the weight, which they keep."""


class _Look(TorchFunctionMode):
    """Follows what convolutions give to those who read it."""

    def __init__(self) -> None:
        super().__init__()
        self._outputs: dict[int, tuple[Tensor, Tensor]] = {}  # with their weights
        self._readers: dict[int, list[Mapping[str, Any] | None]] = {}  # of a weight's outputs; None if it is no norm

    def pairs(self, images: Tensor) -> Pairs:
        """The pairs that were seen in a call with these images."""
        found = {}
        for output, weight in self._outputs.values():
            readers = self._readers[id(weight)]
            if len(readers) == 1 and readers[0] is not None:
                found[id(weight)] = _Pair(weight, {**readers[0], "input": None}, output.numel() / images.numel())
        return found

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        for tensor in () if func in _LOOKS else _tensors((*args, *kwargs.values())):
            if id(tensor) in self._outputs:
                _, weight = self._outputs[id(tensor)]
                self._readers[id(weight)].append(_constant_norm(func, args, kwargs))
        if func is F.conv2d and len(args) > 1:
            self._readers.setdefault(id(args[1]), [])
            self._outputs[id(output)] = output, args[1]
        return output


class _ReadError(Exception):
    """Something else than its norm reads what a convolution gives.

    Attributes:
        pairs: that come apart.
    """

    def __init__(self, pairs: Iterable[_Pair]) -> None:
        super().__init__()
        self.pairs = tuple(pairs)


class _Fold(TorchFunctionMode):
    """Has convolutions do what the norms after them would."""

    def __init__(self, pairs: Pairs, layout: torch.memory_format, kept: dict[int, Weights] | None) -> None:
        super().__init__()
        self._pairs, self._layout, self._kept = pairs, layout, kept
        self._waiting: Pairs = {}  # those of which the norm is to come, by what it will be given

    def __exit__(self, kind: Any, *others: Any) -> None:
        super().__exit__(kind, *others)  # type: ignore[no-untyped-call]
        if kind is None and self._waiting:
            raise _ReadError(self._waiting.values())

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._waiting and func not in _LOOKS:
            read = [self._waiting.pop(id(tensor)) for tensor in _tensors(args) if id(tensor) in self._waiting]
            if read and not read[0].ends_in(_constant_norm(func, args, kwargs)):
                raise _ReadError(read)
            if read:
                return args[0]
        pair = self._pairs.get(id(args[1])) if func is F.conv2d and len(args) > 1 else None
        if pair is None:
            return func(*args, **kwargs)
        bias = args[2] if len(args) > 2 else kwargs.pop("bias", None)
        output = func(args[0], *self._weights(pair, bias), *args[3:], **kwargs)
        self._waiting[id(output)] = pair
        return output

    def _weights(self, pair: _Pair, bias: Tensor | None) -> Weights:
        if self._kept is None:
            return pair.folded(bias, self._layout)
        if id(pair.weight) not in self._kept:
            self._kept[id(pair.weight)] = pair.folded(bias, self._layout)
        return self._kept[id(pair.weight)]


def _remembered(model: nn.Module, inputs: Inputs) -> Pairs:
    if model not in _known or any(pair.moved for pair in _known[model].values()):
        look, sample = _Look(), blank(inputs, 1)
        with torch.no_grad(), look:
            call(model, sample)
        images = images_of(sample.values() if isinstance(sample, Mapping) else [sample])
        _known[model] = {} if images is None else look.pairs(images)
    return _known[model]


def _constant_norm(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The arguments of a batch norm with constants for statistics; None for anything else."""
    if func is not F.batch_norm:
        return None
    given = _batch_norm.bind(*args, **kwargs)
    given.apply_defaults()
    norm = given.arguments
    return None if norm["training"] or norm["running_mean"] is None else norm


def images_of(values: Iterable[Any]) -> Tensor | None:
    """The images ``[B, C, H, W]`` among what a model is called with, if there are any."""
    return next((tensor for tensor in _tensors(values) if tensor.dim() == 4), None)


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


_known: WeakKeyDictionary[nn.Module, Pairs] = WeakKeyDictionary()
