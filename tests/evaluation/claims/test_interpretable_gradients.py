"""The experiment's table, and one run of it on a schedule too short to learn anything."""

from pathlib import Path

import pytest
from safetensors.torch import save_file

from evaluation.claims.compared import Sample
from evaluation.claims.interpretable_gradients import interpretable_gradients, table
from evaluation.claims.trained import MODEL, Schedule
from evaluation.classifier import load_classifier
from evaluation.report.markdown import markdown
from model_store.scenes.networks.classifier import build


def test_the_change_is_taken_seed_by_seed() -> None:
    text = markdown(table([{"a": 1.0}, {"a": 5.0}], [{"a": 2.0}, {"a": 6.0}]))
    assert text.splitlines()[-1] == "| `a` | 3.00 ± 2.83 | 4.00 ± 2.83 | 1.00 ± 0.00 |"


@pytest.mark.slow
def test_a_run(tmp_path: Path) -> None:
    """Three of the four networks lie there already."""
    names = [f"64-1-0-{weight}-{seed}.safetensors" for seed in range(2) for weight in ("0", "0.1")]
    for name in names[:3]:
        save_file(build().state_dict(), tmp_path / name)
    sample = Sample(load_classifier(MODEL), count=2, sets=2, folder=tmp_path)
    section = interpretable_gradients(
        sample, methods=["grad-cam"], seeds=2, weight=0.1, schedule=Schedule(64, coarse_epochs=1, epochs=0)
    )
    assert {file.name for file in tmp_path.iterdir()} == set(names)
    (measured,) = section.tables
    assert len(measured.rows) == 3 + 5
    assert "n/a" not in markdown(measured)
