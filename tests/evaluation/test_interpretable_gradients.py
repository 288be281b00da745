"""The experiment's own measures, its table, and one run of it on a schedule too short to learn anything."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from evaluation import interpretable_gradients
from evaluation.interpretable_gradients import markdown, total_variation
from model_store.scenes.classifier import build


def test_total_variation() -> None:
    plain = torch.ones(1, 3, 8, 8)
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    noise = torch.randn(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    assert total_variation(plain).tolist() == [0.0]
    # 2 at each of the 7 steps of each of the 8 rows and columns.
    torch.testing.assert_close(total_variation(board.expand(2, 3, 8, 8)), torch.full((2,), 2 * 2 * 7 / 8))
    torch.testing.assert_close(total_variation(noise).item(), 2 * math.sqrt(2), rtol=0.01, atol=0)
    torch.testing.assert_close(total_variation(noise), total_variation(-7 * noise))


def test_the_change_is_taken_seed_by_seed() -> None:
    table = markdown([{"a": 1.0}, {"a": 5.0}], [{"a": 2.0}, {"a": 6.0}])
    assert table.splitlines()[-1] == "| a | 3.00 ± 2.83 | 4.00 ± 2.83 | +1.00 ± 0.00 |"


@pytest.mark.slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Three of the four networks lie there already."""
    names = [f"64-1-0-{weight}-{seed}.safetensors" for seed in range(2) for weight in ("0", "0.1")]
    for name in names[:3]:
        save_file(build().state_dict(), tmp_path / name)
    settings = "--seeds=2 --weight=0.1 --scenes=64 --coarse-epochs=1 --epochs=0 --methods grad-cam --images=4"
    monkeypatch.setattr("sys.argv", ["interpretable_gradients", *settings.split(), f"--out={tmp_path}"])
    interpretable_gradients.main()
    text = capfd.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {*names, "table.md"}
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 3 + 5
    assert "nan" not in text
    assert text == (tmp_path / "table.md").read_text()
