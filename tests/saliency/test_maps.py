"""What is done to maps."""

import torch

from saliency import WarningKind, normalize, upsample
from saliency.maps import settle


def test_normalize_each_map_on_its_own() -> None:
    maps = torch.tensor([[[1.0, 3.0], [2.0, 1.0]], [[-4.0, 0.0], [4.0, -2.0]], [[7.0, 7.0], [7.0, 7.0]]])
    expected = torch.tensor([[[0.0, 1.0], [0.5, 0.0]], [[0.0, 0.5], [1.0, 0.25]], [[0.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(normalize(maps), expected)


def test_upsample_puts_cell_edges_on_cell_edges() -> None:
    # Centres of 2 cells over 4 pixels lie at 0.5 and 2.5 in pixel centres; the edges repeat.
    row = upsample(torch.tensor([[[0.0, 1.0]]]), (1, 4))
    torch.testing.assert_close(row, torch.tensor([[[0.0, 0.25, 0.75, 1.0]]]))
    assert upsample(torch.zeros(2, 3, 4, 5), (8, 10)).shape == (2, 3, 8, 10)


def test_settle_says_what_it_lost() -> None:
    evidence = torch.tensor(
        [
            [[[0.0, 2.0]], [[-1.0, -2.0]], [[3.0, 3.0]]],
            [[[float("nan"), 1.0]], [[float("inf"), 0.0]], [[-1.0, 1.0]]],
        ]
    )
    maps, warnings = settle(evidence, clip=True)
    expected = torch.tensor([[[[0.0, 2.0]], [[0.0, 0.0]], [[0.0, 0.0]]], [[[0.0, 1.0]], [[0.0, 0.0]], [[0.0, 1.0]]]])
    torch.testing.assert_close(maps, expected)
    assert {(w.kind, w.image, w.target) for w in warnings} == {
        (WarningKind.ALL_NEGATIVE, 0, 1),
        (WarningKind.FLAT, 0, 2),
        (WarningKind.NON_FINITE, 1, 0),
        (WarningKind.NON_FINITE, 1, 1),
        (WarningKind.FLAT, 1, 1),
    }


def test_signed_maps_keep_their_sign() -> None:
    maps, warnings = settle(torch.tensor([[[[-1.0, -2.0]]]]), clip=False)
    torch.testing.assert_close(maps, torch.tensor([[[[-1.0, -2.0]]]]))
    assert warnings == ()
