"""CAM, the first of them: the classifier's own weights, laid on the last maps."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency.families.gradient_cam import weighted
from saliency.layers import Layer
from saliency.lean import forward
from saliency.registry import Cost, Evidence, Method, Problem, UnsuitableError, register
from saliency.targets import Targets


@register(
    "cam",
    paper="Zhou et al., Learning deep features for discriminative localization, CVPR 2016",
    cost=Cost.FORWARD,
    passes="1 forward",
)
@dataclass(frozen=True)
class CAM(Method):
    """Channels weighted by the class's own weights: ``Σ_k W_ck A^k``, signed; no gradients.

    Only for models that end in a linear layer W on the layer's global average, which is proved on the batch at hand: W
    times the average must give the model's outputs. A target that is not a class takes the weights in the proportion of
    its derivatives ``∂y/∂y_c``. Grad-CAM before its ReLU is this map over the number of cells.
    """

    clip = False
    told_by_running = True
    needs = "global average pooling and one linear layer at the end"

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = forward(problem.model, problem.inputs, problem.layers, graph=False)
        targets = problem.targets.resolve(run.outputs)
        if len(problem.layers) > 1:
            raise UnsuitableError(f"{self.id} reads one layer, the last before the global average; name only that")
        (activation,) = run.activations
        classifier = _classifier(problem.model, problem.layers[0], activation, run.outputs)
        weights = _slopes(targets, run.outputs).float() @ classifier.weight.detach().float()
        return Evidence(weighted(weights, activation.float()), run.outputs, targets)

    @classmethod
    def unsuitable(cls, model: nn.Module) -> str | None:
        """It needs a linear layer."""
        if any(isinstance(module, nn.Linear) for module in model.modules()):
            return None
        return "it has no linear layer on a global average"


def _classifier(model: nn.Module, layer: Layer, activation: Tensor, outputs: Tensor) -> nn.Linear:
    """The linear layer that makes the outputs ``[B, N]`` of the mean of the activation ``[B, C, h, w]``.

    Raises:
        UnsuitableError: there is none.
    """
    average = activation.mean((-2, -1))
    shape = (outputs.shape[-1], average.shape[-1])
    linear = [module for module in model.modules() if isinstance(module, nn.Linear) and module.weight.shape == shape]
    for module in linear if outputs.dim() == 2 else ():
        if _makes(module, average, outputs):
            return module
    raise UnsuitableError(
        f"{CAM.id} does not work on this model: its outputs are not those of a linear layer on the global average of"
        f" layer '{layer.name}'; grad-cam asks for no such thing"
    )


def _makes(linear: nn.Linear, average: Tensor, outputs: Tensor) -> bool:
    """Whether a linear layer gives these outputs but for rounding; outputs that overflowed say nothing."""
    weight, average = linear.weight.double(), average.double()
    bias = torch.zeros_like(weight[:, 0]) if linear.bias is None else linear.bias.double()
    rounding = 8 * torch.finfo(outputs.dtype).eps * F.linear(average.abs(), weight.abs(), bias.abs())
    close = (F.linear(average, weight, bias) - outputs).abs() <= rounding
    return bool((close | ~outputs.isfinite()).all())


def _slopes(targets: Targets, outputs: Tensor) -> Tensor:
    """Derivatives ``[B, K, N]`` of the targets with respect to the outputs ``[B, N]``."""
    leaf = outputs.detach().requires_grad_()
    with torch.enable_grad():
        totals = targets.score(leaf).sum(0)
    rows = torch.eye(len(totals)).to(totals)
    return torch.stack([torch.autograd.grad(totals, leaf, row, retain_graph=True)[0] for row in rows], 1)
