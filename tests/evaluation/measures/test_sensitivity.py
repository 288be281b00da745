"""Max-sensitivity against Captum and a closed form."""

import pytest
import torch
from captum.metrics import sensitivity_max
from torch import Tensor

from evaluation.measures.sensitivity import max_sensitivity


def _images() -> Tensor:
    return torch.rand(3, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def _explain(images: Tensor) -> Tensor:
    return images.square().sum(1).sin()


def test_as_captum_finds_it_for_the_same_noise() -> None:
    radius, samples = 0.1, 6
    found = max_sensitivity(_explain, _images(), radius=radius, samples=samples, seed=4)
    generator = torch.Generator().manual_seed(4)
    draws = torch.stack([torch.empty(3, 5, 5).uniform_(-radius, radius, generator=generator) for _ in range(samples)])

    def perturb(repeated: Tensor) -> Tensor:  # Captum repeats each image for all its copies
        return repeated + draws.repeat(len(_images()), 1, 1, 1)

    def explain(inputs: Tensor | tuple[Tensor]) -> tuple[Tensor]:  # and has the images themselves in a tuple
        return (_explain(inputs if isinstance(inputs, Tensor) else inputs[0]),)

    expected = sensitivity_max(explain, _images(), perturb_func=perturb, n_perturb_samples=samples)
    torch.testing.assert_close(found, expected)


def test_of_a_shifted_map() -> None:
    """A map that is the image's mean colour moves by the mean of the noise, which the radius bounds."""
    images = _images()
    found = max_sensitivity(lambda x: x.mean((1, 2, 3), keepdim=True)[:, 0], images, radius=0.2, samples=50)
    bound = 0.2 / images.mean((1, 2, 3))
    assert (found > 0).all()
    assert (found < bound).all()


def test_a_constant_map_is_not_sensitive_and_zeros_do_not_divide() -> None:
    images = _images()
    assert max_sensitivity(lambda x: torch.ones(len(x), 2, 2), images).tolist() == [0.0] * 3
    assert max_sensitivity(lambda x: torch.zeros(len(x), 2, 2), images).tolist() == [0.0] * 3


def test_a_batch_gives_what_singles_give_and_the_seed_repeats() -> None:
    images = _images()
    found = max_sensitivity(_explain, images, seed=1)
    single = torch.cat([max_sensitivity(_explain, images[i : i + 1], seed=1) for i in range(3)])
    torch.testing.assert_close(found, single)
    assert not torch.equal(found, max_sensitivity(_explain, images, seed=2))
    assert float(found.max()) == pytest.approx(float(max_sensitivity(_explain, images, seed=1).max()))
