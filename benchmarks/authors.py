"""Opti-CAM as its authors' script runs it, for a comparison at equal steps and objective.

Zhang et al., "Opti-CAM", CVIU 2024: the target layer's channels, weighted by the softmax of u, upsampled and normalised
by their range, mask the image; Adam raises the class's score. The network's parameters want gradients, as they come,
and so each step takes those of all of them too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.networks import explained_layer


def opti_cam(model: nn.Module, image: Tensor, target: int, steps: int) -> Tensor:
    """The mask ``[1, 1, H, W]`` after so many steps for an image ``[1, 3, H, W]``."""
    found: list[Tensor] = []
    hook = explained_layer(model).register_forward_hook(lambda _module, _inputs, output: found.append(output))
    with torch.no_grad():
        model(image)
    hook.remove()
    activation = found[0]
    u = torch.zeros(1, activation.shape[1], 1, 1, requires_grad=True)
    adam = torch.optim.Adam([u], lr=0.1)
    for _ in range(steps):
        mask = _mask(u, activation, image)
        loss = -model(mask * image)[0, target]
        adam.zero_grad()
        loss.backward()
        adam.step()
    return _mask(u, activation, image).detach()


def _mask(u: Tensor, activation: Tensor, image: Tensor) -> Tensor:
    summed = (u.softmax(1) * activation).sum(1, keepdim=True)
    large = F.interpolate(summed, image.shape[-2:], mode="bilinear", align_corners=False)
    return (large - large.amin()) / (large.amax() - large.amin())
