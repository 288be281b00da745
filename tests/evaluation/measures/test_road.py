"""ROAD against a dense linear system, and against pytorch-grad-cam's imputation."""

import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from torch import Tensor

from evaluation.measures.road import Road, impute, road

SIDE = 7


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _dense(image: Tensor, missing: Tensor) -> Tensor:
    """One equation per pixel: a known one is itself, a missing one the weighted mean of its neighbours."""
    height, width = missing.shape
    system = torch.eye(height * width, dtype=torch.float64)
    right = image.flatten(1).T.clone()
    for y in range(height):
        for x in range(width):
            if not missing[y, x]:
                continue
            weights = {}
            for dy, dx in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]:
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    weights[(y + dy) * width + x + dx] = 1 / 12 if dy and dx else 1 / 6
            for place, weight in weights.items():
                system[y * width + x, place] = -weight / sum(weights.values())
            right[y * width + x] = 0
    return torch.linalg.solve(system, right).T.view_as(image)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_missing_pixels_are_means_of_their_neighbours(share: float) -> None:
    images = _draw(3, 3, SIDE, SIDE)
    missing = _draw(3, SIDE, SIDE, seed=1) < share
    missing[2] = False
    filled = impute(images, missing)
    for image, hole, found in zip(images, missing, filled, strict=True):
        torch.testing.assert_close(found, _dense(image, hole), atol=1e-7, rtol=0)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # the peer's, of NumPy
def test_as_pytorch_grad_cam_fills_it() -> None:
    images = _draw(2, 3, SIDE, SIDE).float()
    missing = _draw(2, SIDE, SIDE, seed=2) < 0.6
    peer = NoisyLinearImputer(noise=0.0)
    for image, hole, found in zip(images, missing, impute(images, missing), strict=True):
        torch.testing.assert_close(found, peer(image, (~hole).float()), atol=1e-5, rtol=0)


def test_one_known_pixel_fills_all() -> None:
    images = _draw(1, 3, SIDE, SIDE)
    missing = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    missing[0, 3, 2] = False
    torch.testing.assert_close(impute(images, missing), images[:, :, 3:4, 2:3].expand_as(images), atol=1e-6, rtol=0)


def test_with_nothing_known_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="all pixels"):
        impute(_draw(1, 3, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool))


def test_scores_are_those_of_images_with_the_share_removed() -> None:
    images, maps = _draw(2, 3, SIDE, SIDE), _draw(2, SIDE, SIDE, seed=1)
    shares = (0.2, 0.6)

    def score(pictures: Tensor, rows: Tensor) -> Tensor:
        return pictures[:, 0, 0, 0] + 10 * rows

    found = road(score, images, maps, shares=shares, noise=0.0)
    for row in range(2):
        order = maps[row].flatten().argsort(descending=True)
        for k, share in enumerate(shares):
            count = round(share * SIDE * SIDE)
            for places, curve in ((order[:count], found.most), (order[-count:], found.least)):
                missing = torch.zeros(SIDE * SIDE, dtype=torch.bool)
                missing[places] = True
                expected = _dense(images[row], missing.view(SIDE, SIDE))[0, 0, 0] + 10 * row
                assert float(curve[row, k]) == pytest.approx(float(expected), abs=1e-5)


def test_a_clipped_map_does_not_lose_its_whole_background_at_once() -> None:
    maps = torch.zeros(1, 10, 10)
    maps[0, 4, 4] = 1.0
    seen: list[int] = []

    def score(pictures: Tensor, _rows: Tensor) -> Tensor:
        seen.extend((pictures != images).any(1).sum((1, 2)).tolist())
        return pictures.mean((1, 2, 3))

    images = _draw(1, 3, 10, 10).float()
    road(score, images, maps, noise=0.0)
    assert seen == [10, 20, 30, 40, 50, 60, 70, 80, 90] * 2


def test_noise_is_on_imputed_pixels_only_the_same_for_every_image_and_repeats() -> None:
    images, maps = _draw(1, 3, SIDE, SIDE).repeat(2, 1, 1, 1), _draw(1, SIDE, SIDE, seed=1).repeat(2, 1, 1)
    kept: list[Tensor] = []

    def score(pictures: Tensor, _rows: Tensor) -> Tensor:
        kept.append(pictures.clone())
        return pictures.mean((1, 2, 3))

    for noise in (0.0, 0.1, 0.1):
        road(score, images, maps, shares=(0.3,), noise=noise, seed=3)
    plain, noisy, again = kept[0], kept[2], kept[4]
    assert torch.equal(noisy, again)
    assert torch.equal(noisy[0], noisy[1])
    changed = (plain != noisy).any(1)
    assert torch.equal(changed, (plain != images).any(1))


def test_combined_is_half_the_mean_distance() -> None:
    found = Road(most=torch.tensor([[0.2, 0.1]]), least=torch.tensor([[0.9, 0.6]]))
    assert found.combined.tolist() == pytest.approx([(0.7 + 0.5) / 4])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_out_of_range_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="shares"):
        road(lambda pictures, _rows: pictures.mean((1, 2, 3)), _draw(1, 3, 4, 4), _draw(1, 4, 4), shares=(share,))
