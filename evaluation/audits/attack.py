"""Pictures that a network takes for something else, though hardly a pixel has changed.

An attack makes a loss small by changing pixels in [0, 1], none by more than the radius. Each picture is attacked on its
own, whatever else is in the batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Logits = Callable[[Tensor], Tensor]
"""A network: differentiable logits ``[N, classes]`` of images ``[N, 3, H, W]`` in [0, 1]."""

Loss = Callable[[Tensor], Tensor]
"""What an attack makes small, ``[N]``, of logits ``[N, classes]``."""


def towards(classes: Tensor) -> Loss:
    """The targeted attack: the cross-entropy of a wrong class for each picture, int64 ``[N]``."""
    return lambda logits: F.cross_entropy(logits, classes, reduction="none")


def away_from(present: Tensor) -> Loss:
    """The untargeted attack: the log-probability of all classes that are present, bool ``[N, classes]``."""
    return lambda logits: logits.log_softmax(1).masked_fill(~present, -torch.inf).logsumexp(1)


def fgsm(logits: Logits, images: Tensor, loss: Loss, *, radius: float) -> Tensor:
    """The fast gradient sign method: one step of the whole radius.

    Goodfellow et al., "Explaining and harnessing adversarial examples" (ICLR 2015), section 4.

    Args:
        logits: of the network.
        images: ``[N, 3, H, W]`` in [0, 1].
        loss: what to make small.
        radius: largest change of a pixel, in [0, 1].

    Returns:
        Images of the same shape in [0, 1].
    """
    return _step(logits, images, loss, radius).clamp(0, 1)


def pgd(logits: Logits, images: Tensor, loss: Loss, *, radius: float, step: float, steps: int, seed: int) -> Tensor:
    """Projected gradient descent from a random start: FGSM in small steps, projected onto the ball after each.

    Madry et al., "Towards deep learning models resistant to adversarial attacks" (ICLR 2018), section 2.1.

    Args:
        logits: of the network.
        images: ``[N, 3, H, W]`` in [0, 1].
        loss: what to make small.
        radius: largest change of a pixel, in [0, 1].
        step: of each step, likewise.
        steps: how many.
        seed: of the start, whose noise is the same for every image.

    Returns:
        Images of the same shape in [0, 1].
    """
    low, high = (images - radius).clamp_min(0), (images + radius).clamp_max(1)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.empty(images.shape[1:]).uniform_(-radius, radius, generator=generator)
    current = (images + noise.to(images)).clamp(low, high)
    for _ in range(steps):
        current = _step(logits, current, loss, step).clamp(low, high)
    return current


def _step(logits: Logits, images: Tensor, loss: Loss, size: float) -> Tensor:
    with torch.enable_grad():
        leaf = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(logits(leaf)).sum(), leaf)
    return images - size * gradient.sign()
