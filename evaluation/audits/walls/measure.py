"""How much of a map lies behind the wall."""

from torch import Tensor

from saliency.maps import normalize, upsample


def shown(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps as the paper looks at them: their positive part, upsampled, then min-max normalised to [0, 1].

    A flat map, which has no range, stays as it is.

    Args:
        maps: raw, ``[N, h, w]``.
        size: height and width of the pictures.

    Returns:
        float32 ``[N, H, W]``.
    """
    positive = maps.float().clamp_min(0.0)
    flat = positive.amin((1, 2)) == positive.amax((1, 2))
    placed = upsample(positive, size)
    return placed.where(flat[:, None, None], normalize(placed))


def hidden_norm(maps: Tensor, wall: int) -> Tensor:
    """μ of the paper: the norm of a map behind the wall as a share of its norm, ``‖S_hidden‖₂ / ‖S‖₂``.

    A uniform map reads ``sqrt(hidden rows / rows)``.

    Args:
        maps: as :func:`shown` makes them, ``[N, H, W]``.
        wall: the first hidden row.

    Returns:
        float64 ``[N]`` in [0, 1]; not a number for a map of zeros.
    """
    energy = maps.double().square()
    return (energy[:, wall:].sum((1, 2)) / energy.sum((1, 2))).sqrt()
