"""How much maps change when the image hardly does."""

from collections.abc import Callable

import torch
from torch import Tensor


def max_sensitivity(
    explain: Callable[[Tensor], Tensor], images: Tensor, *, radius: float = 0.02, samples: int = 10, seed: int = 0
) -> Tensor:
    """The largest change of a map over noisy copies of its image: ``max ‖m(x + ε) - m(x)‖ / ‖m(x)‖``.

    Yeh et al., "On the (in)fidelity and sensitivity of explanations" (NeurIPS 2019), estimated by
    sampling; relative as in Captum, so that methods of any scale compare. Quantus divides by the norm of the image.

    Args:
        explain: maps ``[N, h, w]`` of images ``[N, 3, H, W]``, of the same classes at each call.
        images: ``[N, 3, H, W]`` in [0, 1].
        radius: of the uniform noise, in the images' unit.
        samples: noisy copies.
        seed: of the noise, which is the same for every image.

    Returns:
        ``[N]``, at least 0; lower is better. A map of zeros is divided by 1.
    """
    generator = torch.Generator().manual_seed(seed)
    maps = explain(images).flatten(1)
    norm: Tensor = torch.linalg.vector_norm(maps, dim=1)
    worst = torch.zeros_like(norm)
    for _ in range(samples):
        noise = torch.empty(images.shape[1:]).uniform_(-radius, radius, generator=generator)
        change = explain(images + noise.to(images)).flatten(1) - maps
        worst = worst.maximum(torch.linalg.vector_norm(change, dim=1))
    return worst / norm.where(norm > 0, 1.0)
