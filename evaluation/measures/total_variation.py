"""How noisy gradients at the pixels are."""

from torch import Tensor


def total_variation(gradients: Tensor) -> Tensor:
    """How noisy gradients are, whatever their size: ``Σ |g_p - g_q| / Σ |g_p|``, q to the right of p and below it.

    Args:
        gradients: ``[N, C, H, W]``, none of them zero all over.

    Returns:
        ``[N]``: from 0 for a plain area over about 2√2 for independent values of a normal distribution to 4.
    """
    right, down = (gradients.diff(dim=dim).abs().flatten(1).sum(1) for dim in (3, 2))
    return (right + down) / gradients.abs().flatten(1).sum(1)
