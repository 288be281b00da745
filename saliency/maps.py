"""What is done to maps after a method has made them."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from saliency.explanation import MapWarning, WarningKind


def normalize(maps: Tensor) -> Tensor:
    """Min-max normalises each map on its own to [0, 1].

    Args:
        maps: ``[..., h, w]`` of any float dtype.

    Returns:
        float32 of the same shape; a flat map becomes zeros.
    """
    maps = maps.float()
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1.0)


def upsample(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resizes maps bilinearly, cell edges on cell edges (``align_corners=False``).

    Args:
        maps: ``[B, h, w]`` or ``[B, K, h, w]``.
        size: height and width wanted.

    Returns:
        float32 ``[B, H, W]`` or ``[B, K, H, W]``.
    """
    height, width = size
    planes = maps.float().reshape(-1, 1, *maps.shape[-2:])
    resized = F.interpolate(planes, size=(height, width), mode="bilinear", align_corners=False)
    return resized.reshape(*maps.shape[:-2], height, width)


def fuse(maps: Sequence[Tensor], how: str, *, clip: bool) -> Tensor:
    """Makes one map of several layers' maps; a single one stays as it is.

    Each is clipped if its method clips, min-max normalised and upsampled to the largest grid; then they are combined.

    Args:
        maps: one ``[B, K, h, w]`` per layer.
        how: ``mean``, ``max`` or ``product``.
        clip: whether to set negative values to zero first.
    """
    if len(maps) == 1:
        return maps[0]
    size = max((m.shape[-2:] for m in maps), key=lambda shape: shape[0] * shape[1])
    stack = torch.stack([upsample(normalize(m.clamp_min(0.0) if clip else m), size) for m in maps])
    match how:
        case "mean":
            return stack.mean(0)
        case "max":
            return stack.amax(0)
        case "product":
            return stack.prod(0)
        case _:
            raise ValueError(f"fusion must be mean, max or product, not '{how}'")


def settle(evidence: Tensor, *, clip: bool) -> tuple[Tensor, tuple[MapWarning, ...]]:
    """Makes maps of raw evidence: float32, finite, clipped at zero if the method says so, and flat ones zero.

    Args:
        evidence: ``[B, K, h, w]`` of any float dtype.
        clip: whether to set negative values to zero.

    Returns:
        The maps, and a warning for each that lost something.
    """
    maps = evidence.detach().float()
    finite = maps.isfinite()
    maps = maps.where(finite, 0.0)
    low, high = maps.amin((-2, -1)), maps.amax((-2, -1))
    negative = (high <= 0) & (low < 0) if clip else torch.zeros_like(high, dtype=torch.bool)
    flat = (low == high) & ~negative
    if clip:
        maps = maps.clamp_min(0.0)
    maps = maps.masked_fill(flat[..., None, None], 0.0)
    found = {
        WarningKind.NON_FINITE: ~finite.all(-1).all(-1),
        WarningKind.ALL_NEGATIVE: negative,
        WarningKind.FLAT: flat,
    }
    flags = torch.stack(list(found.values())).cpu()
    warnings = [MapWarning(list(found)[kind], image, target) for kind, image, target in flags.nonzero().tolist()]
    return maps, tuple(warnings)
