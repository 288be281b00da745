"""Total variation against its closed forms."""

import math

import torch

from evaluation.measures.total_variation import total_variation


def test_total_variation() -> None:
    plain = torch.ones(1, 3, 8, 8)
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    noise = torch.randn(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    assert total_variation(plain).tolist() == [0.0]
    # 2 at each of the 7 steps of each of the 8 rows and columns.
    torch.testing.assert_close(total_variation(board.expand(2, 3, 8, 8)), torch.full((2,), 2 * 2 * 7 / 8))
    torch.testing.assert_close(total_variation(noise).item(), 2 * math.sqrt(2), rtol=0.01, atol=0)
    torch.testing.assert_close(total_variation(noise), total_variation(-7 * noise))
