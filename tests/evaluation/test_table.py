"""Tables: means over sets and how they spread."""

import math
from pathlib import Path

import pytest

from evaluation.columns.catalogue import MEASURES
from evaluation.journal import Journal
from evaluation.table import tables


def test_a_table_has_means_over_sets_and_how_they_spread(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "results.jsonl", {})
    # Pointing: classes count alike, and nothing is known of the last picture. Time: the median of all.
    rows = {"drop": [0.1, 0.2, 0.6], "pointing": [1.0, 0.0, None], "time": [0.9, 0.002, 0.002]}
    journal.add((0, 0), "grad-cam", [1, 2, 2], {**rows, "energy": [None, None, None]})
    journal.add((1, 0), "grad-cam", [1], {"drop": [0.4], "pointing": [0.0], "time": [0.004], "energy": [None]})
    journal.add((1, 16), "grad-cam", [1], {"drop": [0.6], "pointing": [0.0], "time": [0.004], "energy": [None]})
    journal.add((2, 0), "grad-cam", [1], {"drop": [9.0]})  # of a set that is not asked for
    measures = [MEASURES[name] for name in ("drop", "pointing", "energy", "time")]
    found = tables(journal, ["grad-cam", "eigen-cam"], measures, 2, "Over two sets.")
    assert [table.name for table in found] == ["faithfulness", "localisation", "form"]
    (drop,), (pointing, energy), (time,) = (table.rows["grad-cam"] for table in found)
    assert drop is not None
    assert (drop.mean, drop.spread) == pytest.approx((100 * (0.3 + 0.5) / 2, 100 * 0.2 / math.sqrt(2)))
    assert pointing is not None
    assert (pointing.mean, pointing.spread) == pytest.approx((100 * 0.5 / 2, 100 * 0.5 / math.sqrt(2)))
    assert energy is None
    assert time is not None
    assert (time.mean, time.spread) == pytest.approx((3.0, math.sqrt(2)))
    assert found[0].rows["eigen-cam"] == [None]
    assert "Over two sets." in found[0].caption
