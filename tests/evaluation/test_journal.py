"""Results on disk: what was written whole counts, and nothing of other settings."""

from pathlib import Path

import pytest

from evaluation.journal import Journal, JournalError


def test_measures_add_up_and_a_torn_line_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    journal = Journal(path, {"steps": 3})
    journal.add((0, 16), "grad-cam", [1, 2], {"drop": [0.5, None]})
    journal.add((0, 16), "grad-cam", [1, 2], {"gain": [0.0, 0.25]})
    with path.open("a") as stream:
        stream.write('{"set": 1, "fir')
    again = Journal(path, {"steps": 3})
    assert again.records == journal.records
    assert again.records[(0, 16), "grad-cam"].values == {"drop": [0.5, None], "gain": [0.0, 0.25]}
    again.add((1, 0), "grad-cam", [0], {"drop": [1.0]})
    assert len(Journal(path, {"steps": 3}).records) == 2


def test_a_batch_of_other_pictures_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    journal = Journal(path, {})
    journal.add((0, 0), "grad-cam", [1], {"drop": [0.5]})
    journal.add((0, 16), "grad-cam", [1], {"drop": [0.5]})
    journal.begin_anew((0, 0), {"a.png": "cut off"})
    for found in (journal, Journal(path, {})):
        assert found.records.keys() == {((0, 16), "grad-cam")}
        assert found.failures == {(0, 0): {"a.png": "cut off"}}


def test_other_settings_are_named(tmp_path: Path) -> None:
    Journal(tmp_path / "results.jsonl", {"steps": 3, "seed": 0})
    with pytest.raises(JournalError, match="steps: 3 there, 4 here"):
        Journal(tmp_path / "results.jsonl", {"steps": 4, "seed": 0})


@pytest.mark.parametrize("text", ["hello\n", "[1]\n", '{"other": 1}\n'])
def test_files_that_are_no_journal_are_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(text)
    with pytest.raises(JournalError, match="not a journal"):
        Journal(path, {})
    assert path.read_text() == text
