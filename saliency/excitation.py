"""Excitation backprop: handing the mass of the scores down a network, from winners to what excited them.

Zhang et al., "Top-down neural attention by excitation backprop" (ECCV 2016). A neuron's mass is the probability that a
walk down from the scores meets it, its marginal winning probability. Its parents share it in proportion to how much
each excites it: neuron i of ``y = Wx + b`` gives parent j

    p_j += p_i w⁺_ij x_j / Σ_k w⁺_ik x_k

Sums and averages are such layers with equal weights. A maximum gives all to the winner. Open ReLUs, and what moves or
copies values, pass on what they are given. So a layer has the mass of the one above it, but for this:

* Biases excite nothing, nor do negative parents: x⁺ stands for x. A neuron that no parent excites loses its mass.
* A batch norm has one parent per neuron, which takes all of its mass, as in the authors' code. Right after a layer with
  weights it is part of that, so a negative scale turns them round; elsewhere a negative scale excites nothing.
* What goes around the explained layer, as the shortcut of a residual block may, takes its share along.

Mass with a minus sign asks what makes its neuron small: the first layer with weights answers with positive mass, of the
negative weights. From the scores that is the mass of the paper's dual unit.

Mass takes the place of the gradient. Within one call, in one thread, these operations get gradients that share mass,
whether a module or a function calls them. Nothing is changed on the model or in PyTorch.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from saliency import capture
from saliency.capture import Inputs, Pass
from saliency.layers import Layer

Rule = Callable[[Tensor], Sequence[Tensor]]
"""Takes the mass of an operation's output; gives that of each parent."""


class NoRuleError(Exception):
    """An operation for which there is no rule; the message ends a sentence about the model."""


def forward(model: nn.Module, inputs: Inputs, layers: Sequence[Layer]) -> Pass:
    """Runs the model once; the pass's ``gradients`` are mass, ``[B, K, C, h, w]``.

    Mass starts as the derivative of a score with respect to the outputs: for a class, 1 on its own output.

    Args:
        model: the model.
        inputs: the batch.
        layers: where mass is wanted.

    Raises:
        LayerError: a layer did not run, or gives no tensor.
        NoRuleError: there is no rule for an operation after the layers.
    """
    with _Ruled():
        run = capture.forward(model, inputs, layers)
    _check(run.outputs)
    return run


class _Share(torch.autograd.Function):
    """An operation whose gradient is a rule's."""

    @staticmethod
    def forward(ctx: Any, compute: Callable[[], Tensor], rule: Rule, *_parents: Tensor) -> Tensor:
        ctx.rule = rule
        return compute()

    @staticmethod
    def backward(ctx: Any, mass: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.rule(mass)


class _Equal:
    """The rule of a linear operation whose weights are equal: a sum or an average."""

    def __init__(self, parents: Sequence[Tensor], operation: Callable[..., Tensor]) -> None:
        self._parents, self._operation = [_excitation(parent) for parent in parents], operation

    def __call__(self, mass: Tensor) -> Sequence[Tensor]:
        return _hand_down(mass, self._parents, self._operation)


class _Weighted:
    """The rule of a convolution or linear layer, ``operation(parent, weight)``."""

    def __init__(self, parent: Tensor, weight: Tensor, operation: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._parent, self._weight, self._operation = _excitation(parent), weight.detach(), operation

    def __call__(self, mass: Tensor) -> Sequence[Tensor]:
        found = self._answer(mass.clamp_min(0), self._weight)
        return [found + self._answer(-mass.clamp_max(0), -self._weight) if (mass < 0).any() else found]

    def _answer(self, mass: Tensor, weight: Tensor) -> Tensor:
        positive = weight.clamp_min(0).to(_wide(weight))
        (share,) = _hand_down(mass, [self._parent], lambda parent: self._operation(parent, positive))
        return share


def _excitation(parent: Tensor) -> Tensor:
    """x⁺, a copy, as the network may go on in place."""
    return parent.detach().clamp_min(0)


def _hand_down(mass: Tensor, parents: Sequence[Tensor], operation: Callable[..., Tensor]) -> list[Tensor]:
    """What each parent gets of the mass of a linear operation that has no negative weights."""
    excitation, transposed = torch.func.vjp(operation, *(parent.to(_wide(parent)) for parent in parents))[:2]
    # Below the smallest normal number there is no sound quotient; what is not a number stays so.
    quotient = (mass / excitation).masked_fill(excitation < torch.finfo(excitation.dtype).tiny, 0.0)
    return [(parent * part).to(mass.dtype) for parent, part in zip(parents, transposed(quotient), strict=True)]


def _wide(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)


class _Ruled(TorchFunctionMode):
    """Lets rules stand for the gradients of what this thread computes."""

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        ruled = _RULED.get(func)
        # Below the explained layers there is no graph.
        if ruled and torch.is_grad_enabled() and args and isinstance(args[0], Tensor):
            return ruled(func, args, kwargs)
        return func(*args, **kwargs)


def _apply_weights(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    others = {name: value for name, value in kwargs.items() if name not in ("weight", "bias")}
    rule = _Weighted(args[0], weight, lambda parent, positive: func(parent, positive, None, *args[3:], **others))
    return _Share.apply(partial(func, *args, **kwargs), rule, args[0])


def _average(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    rule = _Equal(args[:1], lambda parent: func(parent, *args[1:], **kwargs))
    return _Share.apply(partial(func, *args, **kwargs), rule, args[0])


def _add(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    if kwargs:  # such as a factor
        return func(*args, **kwargs)
    # Numbers and parameters are biases.
    terms = [value for value in args if isinstance(value, Tensor) and not isinstance(value, nn.Parameter)]
    total = _Share.apply(partial(torch.add, *args), _Equal(terms, lambda *parts: reduce(torch.add, parts)), *terms)
    return args[0].copy_(total) if func is Tensor.add_ else total


def _normalize(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    parent, scale = args[0], _BATCH_NORM.bind(*args, **kwargs).arguments.get("weight")
    sign = torch.ones(parent.shape[1]) if scale is None else scale.detach().sign()
    if not isinstance(getattr(parent.grad_fn, "rule", None), _Weighted):
        sign = sign.clamp_min(0)
    sign = sign.to(parent).reshape(-1, *[1] * (parent.dim() - 2))
    return _Share.apply(partial(func, *args, **kwargs), lambda mass: [mass * sign], parent)


def _clip(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    # Where the upper bound is reached the true gradient is zero, but that takes no mass away.
    own = args[0].detach().clone()
    clipped = func(own, *args[1:], **kwargs)
    passed = _Share.apply(lambda: clipped, lambda mass: [mass], args[0])
    return args[0].copy_(passed) if clipped is own else passed


_BATCH_NORM = signature(F.batch_norm)

_AVERAGES = (
    *(F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
    *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
    *(torch.mean, Tensor.mean, torch.sum, Tensor.sum),
)
_RULED: dict[Any, Callable[[Any, Any, Mapping[str, Any]], Any]] = {
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d, F.linear), _apply_weights),
    **dict.fromkeys(_AVERAGES, _average),
    **dict.fromkeys((torch.add, Tensor.add, Tensor.add_), _add),
    **dict.fromkeys((F.relu6, F.hardtanh), _clip),
    F.batch_norm: _normalize,
}
"""What computes each function and gives it a rule."""

_PASSING = {
    *(_Share.__name__, "AccumulateGrad", "Relu", "MaxPool2DWithIndices", "MaxPool3DWithIndices", "AdaptiveMaxPool2D"),
    *("Cat", "Stack", "Split", "SplitWithSizes", "Unbind", "Slice", "Select", "Index", "Expand"),
    *("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose"),
    *("Clone", "ToCopy", "Copy", "CopySlices", "ConstantPadNd", "ReflectionPad2D", "ReplicationPad2D"),
}
"""Nodes of the graph, less "Backward" and what follows, whose gradient is a rule's or passes mass on by itself."""


def _check(outputs: Tensor) -> None:
    """Raises NoRuleError if a gradient would take part that does not share mass, whoever computed it."""
    seen: set[Any] = set()
    ahead = [outputs.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        name = type(node).__name__.split("Backward")[0]
        if name not in _PASSING:
            raise NoRuleError(
                f"excitation backprop has no rule for the operation {name} between the explained layer and the scores;"
                " choose a later layer, or a method that asks for no rules, such as grad-cam"
            )
        seen.add(node)
        ahead += [parent for parent, _ in node.next_functions]
