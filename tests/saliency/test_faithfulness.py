"""Measures of faithfulness against loops over single pixels and closed forms."""

import math

import pytest
import torch
from torch import Tensor, nn

from saliency import Class, explain
from saliency.faithfulness import (
    area,
    behind,
    curve,
    drop,
    gain,
    mask_of,
    measure,
    ranks,
    seen,
    unseen_share,
)
from saliency.masking import CHUNK
from tests.nets import CLASSES, images, make

SIDE = 6


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _weights() -> Tensor:
    """Of a score that is linear in the pixels, with a value of its own for each row."""
    return _draw(3, 3, SIDE, SIDE, seed=1) / (3 * SIDE * SIDE)


def _linear(pictures: Tensor, rows: Tensor) -> Tensor:
    return (pictures * _weights()[rows]).sum((1, 2, 3))


def test_a_mask_is_upsampled_then_normalised_and_flat_maps_are_zeros() -> None:
    maps = torch.tensor([[[-2.0, 2.0]], [[3.0, 3.0]]])
    found = mask_of(maps, (1, 4))
    # Bilinear between cell centres at 1/4 and 3/4: -2, -1, 1, 2.
    torch.testing.assert_close(found, torch.tensor([[[0.0, 0.25, 0.75, 1.0]], [[0.0, 0.0, 0.0, 0.0]]]))


def test_scores_behind_masks_are_those_of_the_blend() -> None:
    pictures, masks = _draw(3, 3, SIDE, SIDE), _draw(3, SIDE, SIDE, seed=2)
    colour = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)[:, None, None]
    found = behind(_linear, pictures, masks, colour[None])
    for row in range(3):
        blend = torch.zeros(3, SIDE, SIDE, dtype=torch.float64)
        for c in range(3):
            for y in range(SIDE):
                for x in range(SIDE):
                    m = masks[row, y, x]
                    blend[c, y, x] = m * pictures[row, c, y, x] + (1 - m) * colour[c, 0, 0]
        torch.testing.assert_close(found[row].double(), (blend * _weights()[row]).sum(), atol=1e-7, rtol=1e-6)


def test_drop_and_gain_are_shares_of_what_can_be_lost_and_won() -> None:
    before = torch.tensor([0.5, 0.5, 0.8, 0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    after = torch.tensor([0.2, 0.6, 0.8, 0.3, 0.4, 0.0, 1.0], dtype=torch.float64)
    expected = torch.tensor([0.6, 0.0, 0.0, 0.0, 0.6, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(drop(before, after), expected)
    expected = torch.tensor([0.0, 0.2, 0.0, 0.3, 0.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(gain(before, after), expected)


def test_ranks_are_a_permutation_with_ties_in_reading_order() -> None:
    masks = torch.tensor([[[0.0, 0.7], [0.0, 0.9]], [[0.5, 0.5], [0.5, 0.5]]])
    assert ranks(masks).tolist() == [[[2, 1], [3, 0]], [[0, 1], [2, 3]]]


@pytest.mark.parametrize("steps", [1, 5, SIDE * SIDE])
def test_a_curve_replaces_the_strongest_pixels_first(steps: int) -> None:
    pictures, masks = _draw(3, 3, SIDE, SIDE), _draw(3, SIDE, SIDE, seed=2)
    other = _draw(1, 3, SIDE, SIDE, seed=3)
    found = curve(_linear, masks, pictures, other, steps)
    assert found.shape == (3, steps + 1)
    for row in range(3):
        order = sorted(range(SIDE * SIDE), key=lambda i: -float(masks[row].flatten()[i]))
        for step in range(steps + 1):
            mixed = pictures[row].flatten(1).clone()
            for i in order[: step * SIDE * SIDE // steps]:
                mixed[:, i] = other[0].flatten(1)[:, i]
            expected = (mixed.view(3, SIDE, SIDE) * _weights()[row]).sum()
            torch.testing.assert_close(found[row, step].double(), expected, atol=1e-7, rtol=1e-6)


def test_an_area_is_that_of_trapezoids() -> None:
    curves = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(area(curves), torch.tensor([1.0, 0.5, 0.125]))


def test_forwards_are_full_chunks_and_never_more() -> None:
    sizes: list[int] = []

    def score(pictures: Tensor, rows: Tensor) -> Tensor:
        assert len(pictures) == len(rows)
        sizes.append(len(rows))
        return pictures.mean((1, 2, 3))

    curve(score, _draw(5, 4, 4), _draw(5, 3, 4, 4), torch.zeros(1, 3, 1, 1, dtype=torch.float64), 15)
    assert sizes == [CHUNK, CHUNK, 5 * 16 - 2 * CHUNK]


def test_measures_of_a_known_score() -> None:
    """With a linear score, black for what is hidden and a map in the order of what pixels add, all has closed forms."""
    weights = _weights()[:1]
    pictures = torch.full((1, 3, SIDE, SIDE), 0.5, dtype=torch.float64)
    added = (pictures * weights).sum(1)  # what each pixel adds to the score
    masks = added / added.max()
    black = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    steps = SIDE * SIDE
    found = measure(_linear, pictures, masks, hidden=black, start=black, end=black, steps=steps)
    p, o = added.sum(), (masks * added).sum()
    ordered = added.flatten().sort(descending=True).values
    kept = torch.cat([torch.zeros(1, dtype=torch.float64), ordered.cumsum(0)])
    insertion = (kept[1:] + kept[:-1]).sum() / 2 / steps
    torch.testing.assert_close(found.drop.double(), ((p - o) / p)[None], atol=1e-6, rtol=1e-5)
    assert found.gain.tolist() == [0.0]
    assert found.increase.tolist() == [0.0]
    torch.testing.assert_close(found.insertion.double(), insertion[None], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.deletion.double(), (p - insertion)[None], atol=1e-6, rtol=1e-5)


def test_hiding_what_speaks_against_the_class_is_a_gain() -> None:
    pictures = torch.ones(1, 1, 1, 2)
    weights = torch.tensor([0.9, -0.4])
    found = measure(
        lambda shown, _rows: (shown[:, 0, 0] * weights).sum(1),
        pictures,
        torch.tensor([[[1.0, 0.0]]]),
        hidden=torch.zeros(1, 1, 1, 1),
        start=torch.zeros(1, 1, 1, 1),
        end=torch.zeros(1, 1, 1, 1),
        steps=2,
    )
    assert found.gain.tolist() == pytest.approx([(0.9 - 0.5) / (1 - 0.5)])
    assert found.increase.tolist() == [1.0]
    assert found.drop.tolist() == [0.0]
    assert found.insertion.tolist() == pytest.approx([(0.0 / 2 + 0.9 + 0.5 / 2) / 2])
    assert found.deletion.tolist() == pytest.approx([(0.5 / 2 - 0.4 + 0.0 / 2) / 2])


class _Walled(nn.Module):
    """Never sees the lower half; sees the right of the rest only where a pixel is bright enough."""

    def forward(self, x: Tensor) -> Tensor:
        top = x[:, :, :3]
        left, right = top[..., :3].mean((1, 2, 3)), (top[..., 3:] - 0.75).relu().mean((1, 2, 3))
        return torch.stack([left, right, left + right], 1)


def test_what_the_model_cannot_see_is_found() -> None:
    pictures = torch.full((2, 3, SIDE, SIDE), 0.5)
    pictures[:, :, 0, 0] = 0.0  # noise is relative to the range, 0.5 then, and too weak to wake the right
    pictures[:, :, 0, 4] = 1.0 / 2
    pictures[1, :, 1, 5] = 0.9
    found = seen(_Walled().eval(), pictures, [[0, 1, 2], [0, 1, 2]], noise=0.01)
    assert found.shape == (2, 3, SIDE, SIDE)
    expected = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.bool)
    expected[:, (0, 2), :3, :3] = True
    expected[1, 1:, 1, 5] = True
    assert torch.equal(found, expected)
    awake = seen(_Walled().eval(), pictures, [[1], [1]], samples=64, noise=1.0)
    assert awake[:, 0, :3, 3:].all()
    assert not awake[:, 0, 3:].any()
    assert not awake[:, 0, :, :3].any()


def test_seeing_leaves_no_trace_and_needs_no_grad_mode() -> None:
    net, _ = make("flat head")
    pictures = images(2)
    expected = seen(net, pictures, None)
    assert all(parameter.grad is None for parameter in net.parameters())
    with torch.inference_mode():
        again = seen(net, pictures + 0, None)
    assert torch.equal(again, expected)
    single = torch.cat([seen(net, pictures[i : i + 1], None) for i in range(2)])
    assert torch.equal(single, expected)


def test_unseen_share_is_the_energy_beyond() -> None:
    maps = torch.tensor([[[[3.0, -1.0]], [[0.0, 0.0]]]])
    visible = torch.tensor([[[[True, False]], [[False, False]]]])
    torch.testing.assert_close(unseen_share(maps, visible), torch.tensor([[0.25, 0.0]]))


def test_a_uniform_map_reads_the_hidden_share() -> None:
    visible = seen(_Walled().eval(), torch.full((1, 3, SIDE, SIDE), 0.5), [[0]])
    assert float(unseen_share(torch.ones(1, 1, 2, 2), visible)) == pytest.approx(0.75)


def test_gradients_as_maps_have_nothing_unseen() -> None:
    net, _ = make("flat head")
    pictures = images(2)
    targets = [[0, 3], [CLASSES - 1, 1]]
    result = explain(net, pictures, targets, "input-gradient")
    assert unseen_share(result.maps, seen(net, pictures, targets)).max() == 0


def test_targets_are_resolved_on_the_image_itself() -> None:
    net, _ = make("flat head")
    pictures = images(1)
    top = int(net(pictures).argmax())
    assert torch.equal(seen(net, pictures, None), seen(net, pictures, [Class(top)]))
    assert math.isfinite(float(unseen_share(torch.ones(1, 1, 4, 4), seen(net, pictures, None))))
