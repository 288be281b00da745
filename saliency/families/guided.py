"""Gradients with another rule at each ReLU; they look sharp but depend little on the weights of later layers."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from saliency.families.gradient_cam import GradCAM
from saliency.families.input_gradient import PixelMethod, magnitude
from saliency.maps import upsample
from saliency.picture import forward_from_picture
from saliency.registry import Cost, Evidence, Method, Problem, fusion, register
from saliency.targets import Targets

Rule = Callable[[Tensor, Tensor], Tensor]
"""Takes the gradient of a ReLU's output and that output; gives the gradient of its input."""


@dataclass(frozen=True)
class RuledGradient(PixelMethod):
    """``max_c |∂y/∂x_c|`` with the ReLUs' gradient replaced by a rule, in modules and functions alike.

    Other activations, also ReLU6, keep their own gradient; of a network without ReLU this is the input gradient.
    """

    sanity_failing = True

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        gradients, outputs, targets = ruled_gradients(problem, self.rule)
        return Evidence(magnitude(gradients), outputs, targets)

    @abstractmethod
    def rule(self, gradient: Tensor, output: Tensor) -> Tensor:
        """The gradient of a ReLU's input, given its output and that one's gradient."""


@register(
    "guided-backprop",
    paper="Springenberg et al., Striving for simplicity, ICLR Workshop 2015",
    cost=Cost.FORWARD,
    passes="1 forward, 1 backward",
    aliases=("guided-backpropagation", "gbp"),
)
@dataclass(frozen=True)
class GuidedBackprop(RuledGradient):
    """``max_c |∂y/∂x_c|`` with ``g 1[g > 0] 1[a > 0]`` for each ReLU's gradient g, a its output."""

    def rule(self, gradient: Tensor, output: Tensor) -> Tensor:
        """Lets through what is positive, where the ReLU was open."""
        return gradient.relu().where(output > 0, 0.0)


@register(
    "deconvolution",
    paper="Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014",
    cost=Cost.FORWARD,
    passes="1 forward, 1 backward",
    aliases=("deconvnet",),
)
@dataclass(frozen=True)
class Deconvolution(RuledGradient):
    """``max_c |∂y/∂x_c|`` with ``g 1[g > 0]`` for each ReLU's gradient g, whether the ReLU was open or not."""

    def rule(self, gradient: Tensor, output: Tensor) -> Tensor:
        """Lets through what is positive."""
        return gradient.relu()


@register(
    "guided-grad-cam",
    paper="Selvaraju et al., Grad-CAM, ICCV 2017, section 3.2",
    cost=Cost.FORWARD,
    passes="2 forwards, 1 backward, 1 head backward",
)
@dataclass(frozen=True)
class GuidedGradCAM(Method):
    """Guided backpropagation where Grad-CAM sees the target: ``max_c |g_c ⊙ up(L)|``, L the map of Grad-CAM."""

    sanity_failing = True

    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        gradients, outputs, targets = ruled_gradients(problem, GuidedBackprop().rule)
        coarse = GradCAM(fusion=self.fusion).explain(problem).maps.relu()
        return Evidence(magnitude(gradients) * upsample(coarse, gradients.shape[-2:]), outputs, targets)


def ruled_gradients(problem: Problem, rule: Rule) -> tuple[Tensor, Tensor, Targets]:
    """Gradients ``[B, K, C, H, W]`` under a rule, the model's outputs and the resolved targets."""
    with RuledReLUs(rule):
        run = forward_from_picture(problem.model, problem.inputs)
        targets = problem.targets.resolve(run.outputs)
        return run.gradients(targets.score), run.outputs.detach(), targets


class _RuledReLU(torch.autograd.Function):
    """A ReLU whose gradient follows a rule."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rule: Rule) -> Tensor:
        output = values.clamp_min(0)
        ctx.save_for_backward(output)
        ctx.rule = rule
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (output,) = ctx.saved_tensors
        return ctx.rule(gradient, output), None


class RuledReLUs(TorchFunctionMode):
    """Lets a rule stand for the gradient of every ReLU that this thread computes."""

    _relus = (F.relu, torch.relu, Tensor.relu)
    _in_place = (F.relu_, torch.relu_, Tensor.relu_)

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self._rule = rule

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in self._relus + self._in_place:
            return func(*args, **kwargs)
        values = args[0] if args else kwargs["input"]
        output = _RuledReLU.apply(values, self._rule)
        in_place = func in self._in_place or kwargs.get("inplace") or args[1:] == (True,)
        return values.copy_(output) if in_place else output
