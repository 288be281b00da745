"""The algebra of conceptors: its identities, in both precisions, for states that span their space and that do not."""

import pytest
import torch
from torch import Tensor

from saliency.conceptor import conceptor, conjunction, disjunction, negation, span

pytestmark = pytest.mark.usefixtures("one_core")

D = 12
ERRORS = {torch.float32: 2e-5, torch.float64: 1e-12}

each_dtype = pytest.mark.parametrize("dtype", list(ERRORS), ids=str)
each_count = pytest.mark.parametrize("count", [4, 30])
each_aperture = pytest.mark.parametrize("aperture", [0.1, 1.0, 10.0])


def _states(count: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """``[3, D, count]``, with energies that differ by a factor of 100."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(3, D, count, dtype=torch.float64, generator=generator)
    return (torch.logspace(-0.5, 0.5, D, dtype=torch.float64)[:, None] * draws).to(dtype)


def _correlation(states: Tensor) -> Tensor:
    states = states.double()
    return states @ states.mT / states.shape[-1]


def _of_correlation(correlation: Tensor, aperture: float) -> Tensor:
    """The definition, in float64."""
    return correlation @ torch.linalg.inv(correlation + _one() / aperture**2)


def _one() -> Tensor:
    return torch.eye(D, dtype=torch.float64)


def _close(found: Tensor, expected: Tensor, slack: float = 1.0) -> None:
    error = slack * ERRORS[found.dtype]
    torch.testing.assert_close(found.double(), expected.double(), rtol=error, atol=error)


def _projector(*axes: int, dtype: torch.dtype) -> Tensor:
    """Onto some axes of a rotated frame."""
    frame = span(_states(D, 9))[0]
    return (frame[:, list(axes)] @ frame[:, list(axes)].mT).to(dtype)


@each_dtype
@each_count
@each_aperture
class TestConceptor:
    def test_it_is_that_of_the_correlation(self, dtype: torch.dtype, count: int, aperture: float) -> None:
        states = _states(count, 0, dtype)
        found = conceptor(states, aperture)
        assert found.dtype == dtype
        _close(found, _of_correlation(_correlation(states), aperture))

    def test_it_minimises_what_it_should(self, dtype: torch.dtype, count: int, aperture: float) -> None:
        states = _states(count, 0, dtype).double()
        best = conceptor(states.to(dtype), aperture).double().requires_grad_()
        error = (states - best @ states).square().sum(1).mean(1) + best.square().sum((1, 2)) / aperture**2
        (slope,) = torch.autograd.grad(error.sum(), best)
        _close(slope.to(dtype), torch.zeros_like(slope), slack=100.0)

    def test_apertures_multiply(self, dtype: torch.dtype, count: int, aperture: float) -> None:
        states = _states(count, 0, dtype)
        narrow = conceptor(states.double(), aperture)
        wider = narrow @ torch.linalg.inv(narrow + (_one() - narrow) / 9)
        _close(conceptor(states, 3 * aperture), wider)

    def test_two_data_sets_make_the_disjunction(self, dtype: torch.dtype, count: int, aperture: float) -> None:
        this, other = _states(count, 0, dtype), _states(count, 1, dtype)
        found = disjunction(conceptor(this, aperture), conceptor(other, aperture))
        _close(found, _of_correlation(_correlation(this) + _correlation(other), aperture), slack=10.0)

    def test_the_parallel_sum_makes_the_conjunction(self, dtype: torch.dtype, count: int, aperture: float) -> None:
        this, other = _states(count, 0, dtype), _states(count, 1, dtype)
        r, q = _correlation(this), _correlation(other)
        found = conjunction(conceptor(this, aperture), conceptor(other, aperture))
        if count < D:  # the ranges have nothing but zero in common
            _close(found, torch.zeros_like(found))
        else:
            parallel = torch.linalg.inv(torch.linalg.inv(r) + torch.linalg.inv(q))
            _close(found, _of_correlation(parallel, aperture), slack=10.0)

    def test_one_and_not_the_other(self, dtype: torch.dtype, count: int, aperture: float) -> None:
        this, other = _states(count, 0, dtype), _states(count, 1, dtype)
        found = conjunction(conceptor(this, aperture), negation(conceptor(other, aperture)))
        r, q = (aperture**2 * _correlation(states) for states in (this, other))
        _close(found, torch.linalg.solve(_one() + r @ (_one() + q), r), slack=10.0)

    def test_it_may_be_worked_out_in_the_span_of_its_states(
        self, dtype: torch.dtype, count: int, aperture: float
    ) -> None:
        this, other = _states(count, 0, dtype), _states(count, 1, dtype)
        basis = span(this)
        assert basis.shape == (3, D, min(D, count))
        _close(basis.mT @ basis, torch.eye(basis.shape[-1]).expand(3, -1, -1))

        def known(one: Tensor, two: Tensor) -> Tensor:
            return conjunction(conceptor(one, aperture), negation(conceptor(two, aperture)))

        inside = known(basis.mT @ this, basis.mT @ other)
        _close(basis @ inside @ basis.mT, known(this, other), slack=10.0)


@each_dtype
class TestOperations:
    def test_negation_is_the_conceptor_of_the_inverse(self, dtype: torch.dtype) -> None:
        states = _states(30, 0, dtype)
        inverse = torch.linalg.inv(_correlation(states)) / 2.0**4
        _close(negation(conceptor(states, 2.0)), _of_correlation(inverse, 2.0))

    @pytest.mark.parametrize("count", [4, 9, 30])
    def test_de_morgan(self, dtype: torch.dtype, count: int) -> None:
        this, other = (conceptor(_states(count, seed, dtype), 2.0) for seed in (0, 1))
        _close(negation(disjunction(this, other)), conjunction(negation(this), negation(other)))
        _close(negation(conjunction(this, other)), disjunction(negation(this), negation(other)), slack=10.0)

    def test_order_and_grouping_do_not_matter(self, dtype: torch.dtype) -> None:
        a, b, c = (conceptor(_states(30, seed, dtype), 2.0) for seed in (0, 1, 2))
        for combine in (conjunction, disjunction):
            _close(combine(a, b), combine(b, a))
            _close(combine(combine(a, b), c), combine(a, combine(b, c)))

    @each_count
    def test_all_and_nothing(self, dtype: torch.dtype, count: int) -> None:
        this = conceptor(_states(count, 0, dtype), 2.0)
        nothing = torch.zeros_like(this)
        everything = negation(nothing)
        _close(conjunction(this, everything), this)
        _close(conjunction(this, nothing), nothing)
        _close(disjunction(this, everything), everything)
        _close(disjunction(this, nothing), this)

    def test_projectors_meet_in_their_intersection_and_join_in_their_sum(self, dtype: torch.dtype) -> None:
        this, other = _projector(0, 1, 2, dtype=dtype), _projector(2, 3, dtype=dtype)
        _close(conjunction(this, other), _projector(2, dtype=dtype))
        _close(disjunction(this, other), _projector(0, 1, 2, 3, dtype=dtype))
        _close(conjunction(this, negation(other)), _projector(0, 1, dtype=dtype))

    def test_eigenvalues_stay_between_nothing_and_all(self, dtype: torch.dtype) -> None:
        scales = torch.tensor([1e-3, 1.0, 1e3], dtype=dtype)[:, None, None]
        this, other = (conceptor(scales * _states(5, seed, dtype), 3.0) for seed in (0, 1))
        for found in (this, negation(this), conjunction(this, negation(other)), disjunction(this, other)):
            values = torch.linalg.eigvalsh(found.double())
            assert values.min() > -10 * ERRORS[dtype]
            assert values.max() < 1 + 10 * ERRORS[dtype]

    def test_a_batch_gives_what_singles_give(self, dtype: torch.dtype) -> None:
        this, other = (conceptor(_states(5, seed, dtype), 2.0) for seed in (0, 1))
        together = conjunction(this, negation(other))
        for i in range(3):
            _close(together[i], conjunction(this[i], negation(other[i])))


def test_weak_directions_survive_beside_strong_ones_in_float32() -> None:
    """Their energies differ by 1e12: the correlation, were it made, could not hold both."""
    states = torch.diag(torch.logspace(-3, 3, D)) * D**0.5
    _close(conceptor(states, 1.0).diagonal(), torch.logspace(-6, 6, D) / (1 + torch.logspace(-6, 6, D)))
