"""Conceptors: soft projections onto the directions that data take, and Boolean operations on them.

Jaeger, "Controlling recurrent neural networks by conceptors", 2014 (arXiv 1403.3369). A conceptor is a symmetric matrix
with eigenvalues from 0, a direction that the data never take, to 1, one that they take with much energy. All functions
are batched over leading dimensions, differ from the exact result by rounding only, and keep the precision given.
"""

import torch
from torch import Tensor


def conceptor(states: Tensor, aperture: float) -> Tensor:
    """The conceptor of data, ``C = R (R + α⁻² I)⁻¹`` of their correlation ``R = X Xᵀ / n``.

    It minimises ``mean |x - C x|² + α⁻² |C|²`` over the states x. Its eigenvalues are ``s² / (1 + s²)``, with s the
    singular values of ``α X / √n``; so R is never made, in which weak directions would drown.

    Args:
        states: ``[..., d, n]``, a state of d dimensions in each of n columns, finite.
        aperture: α, above 0; the larger it is, the weaker the directions that count.

    Returns:
        ``[..., d, d]``.
    """
    vectors, values, _ = torch.linalg.svd(states * (aperture / states.shape[-1] ** 0.5), full_matrices=False)
    energy = values.square()
    known: Tensor = (vectors * (energy / (1 + energy))[..., None, :]) @ vectors.mT
    return known


def negation(this: Tensor) -> Tensor:
    """``¬C = I - C``, of ``[..., d, d]``: what C does not know."""
    return _identity(this) - this


def conjunction(this: Tensor, other: Tensor) -> Tensor:
    """``C ∧ B = (C⁻¹ + B⁻¹ - I)⁻¹``, of ``[..., d, d]``: what both know.

    Its limit where they have no inverse. With the parallel sum ``P = C (C + B)⁺ B``, which is ``(C⁻¹ + B⁻¹)⁻¹``, it is
    ``P (I - P)⁻¹``, and as ``P ≤ I / 2`` that inverse is always well conditioned.
    """
    parallel = this @ torch.linalg.pinv(this + other, hermitian=True) @ other
    parallel = (parallel + parallel.mT) / 2
    known: Tensor = torch.linalg.solve(negation(parallel), parallel)
    return known


def disjunction(this: Tensor, other: Tensor) -> Tensor:
    """``C ∨ B = ¬(¬C ∧ ¬B)``, of ``[..., d, d]``: what either knows; of two data sets it is that of ``R + Q``."""
    return negation(conjunction(negation(this), negation(other)))


def span(states: Tensor) -> Tensor:
    """An orthonormal basis U ``[..., d, min(d, n)]`` of a space that has all the states ``[..., d, n]`` in it.

    It is the dual form for states that are fewer than their dimensions. The conceptor of X is ``U C Uᵀ`` with C that of
    ``Uᵀ X``; and ``C ∧ ¬B``, with B that of any other data Y, is the same of ``Uᵀ X`` and ``Uᵀ Y`` between U and Uᵀ:
    it is ``F (I + Fᵀ (I + α² R) F)⁻¹ Fᵀ`` with ``F = α X / √n`` and the correlation R of Y, of which only ``Uᵀ R U``
    counts.
    """
    basis: Tensor = torch.linalg.qr(states).Q
    return basis


def _identity(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)
