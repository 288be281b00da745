"""Maps along the direction in which the cells of a layer vary most.

M is a matrix ``[Z, C]`` with a row for each cell. Its first left singular vector, times the singular value, is the map,
found from the smaller of the Gram matrices ``M Mᵀ`` and ``Mᵀ M``. A singular vector has no sign of its own; each method
says which it takes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from saliency.families.activation_cam import ActivationCAM
from saliency.families.gradient_cam import GradientCAM
from saliency.registry import Cost, register


@register("eigen-cam", paper="Muhammad and Yeasin, Eigen-CAM, IJCNN 2020", cost=Cost.FORWARD, passes="1 forward")
@dataclass(frozen=True)
class EigenCAM(ActivationCAM):
    """The activation's first principal component: ``ReLU(M v)``, v the first right singular vector of M = A.

    M is not centred, as in the paper (pytorch-grad-cam centres it). The sign is the one with which the map agrees with
    the mean of ``|A|`` over channels: their inner product is positive.
    """

    def map(self, activation: Tensor) -> Tensor:
        """Projects the cells."""
        cells = activation.flatten(2).mT
        component = _agreeing(_first_component(cells), cells.abs().mean(-1))
        return component.reshape(len(activation), *activation.shape[-2:])


@register(
    "eigen-grad-cam",
    paper="Gildenblat et al., pytorch-grad-cam, 2021 (EigenGradCAM)",
    cost=Cost.FORWARD,
    passes="1 forward, 1 head backward",
)
@dataclass(frozen=True)
class EigenGradCAM(GradientCAM):
    """The first principal component of gradient times activation: ``ReLU(M v)``, v as in Eigen-CAM of M = g ⊙ A.

    M is not centred, so that cells without gradient stay 0 (pytorch-grad-cam centres it). The sign is the one with
    which the map agrees with HiResCAM's, ``Σ_k g^k ⊙ A^k``, so that positive speaks for the target.
    """

    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Projects the cells."""
        cells = (gradient * activation[:, None]).flatten(3).mT
        component = _agreeing(_first_component(cells.flatten(0, 1)), cells.flatten(0, 1).sum(-1))
        return component.reshape(*gradient.shape[:2], *gradient.shape[-2:])


@register(
    "kpca-cam",
    paper="Karmani et al., KPCA-CAM, 2024 (arXiv 2410.00267)",
    cost=Cost.FORWARD,
    passes="1 forward",
    aliases=("kpca",),
)
@dataclass(frozen=True)
class KPCACAM(ActivationCAM):
    """The activation's first kernel principal component: ``ReLU(√λ u)``, u the first eigenvector of the kernel.

    The kernel of cells a and b is ``tanh(a·b / C + 1)`` of cells that are centred first, and is centred itself. The
    sign is the one of Eigen-CAM. The kernel is ``[Z, Z]``, so that layers of thousands of cells are slow.
    """

    def map(self, activation: Tensor) -> Tensor:
        """Projects the cells."""
        cells = activation.flatten(2).mT
        centred = cells - cells[:, :1]  # exactly 0 in constant channels
        centred = centred - centred.mean(1, keepdim=True)
        # tanh(x + 1) - tanh(1) without cancellation; the constant falls out when the kernel is centred.
        tanh, tanh_1 = torch.tanh(centred @ centred.mT / cells.shape[-1]), math.tanh(1)
        kernel = tanh / (1 + tanh_1 * tanh) * (1 - tanh_1**2)
        kernel = (
            kernel - kernel.mean(1, keepdim=True) - kernel.mean(2, keepdim=True) + kernel.mean((1, 2), keepdim=True)
        )
        value, vector = _top(kernel)
        component = _agreeing(value.clamp_min(0.0).sqrt()[:, None] * vector, cells.abs().mean(-1))
        return component.reshape(len(activation), *activation.shape[-2:])


def _first_component(cells: Tensor) -> Tensor:
    """``M v`` as ``[B, Z]`` for each M ``[B, Z, C]``; its sign is any."""
    # Squares of large activations would overflow.
    scale = cells.abs().amax((1, 2), keepdim=True).clamp_min(torch.finfo(cells.dtype).tiny)
    scaled = cells / scale
    if cells.shape[1] <= cells.shape[2]:
        value, vector = _top(scaled @ scaled.mT)
        component = value.clamp_min(0.0).sqrt()[:, None] * vector
    else:
        _, direction = _top(scaled.mT @ scaled)
        component = torch.einsum("bzc,bc->bz", scaled, direction)
    return component * scale[..., 0]


def _top(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """The largest eigenvalue ``[B]`` and its eigenvector ``[B, n]`` of symmetric matrices ``[B, n, n]``.

    NaN for matrices that are not finite, which the decomposition would refuse with the whole batch.
    """
    finite = matrices.isfinite().all(-1).all(-1)
    values, vectors = torch.linalg.eigh(matrices.where(finite[:, None, None], 0.0))
    return values[:, -1], vectors[..., -1].where(finite[:, None], torch.nan)


def _agreeing(component: Tensor, reference: Tensor) -> Tensor:
    """Each component ``[B, Z]`` with the sign that makes its inner product with its reference positive."""
    return torch.where((component * reference).sum(-1, keepdim=True) < 0, -component, component)
