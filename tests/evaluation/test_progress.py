"""The bar: what it counts, and how it looks with and without a terminal."""

import sys

import pytest

from evaluation.progress import Progress


def test_without_a_terminal_lines_are_plain_and_few(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(10, "maps")
    progress.skip(2)
    for _ in range(4):
        progress.advance(2, "grad-cam")
    progress.end()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # the first and the last
    assert "4/10 maps" in lines[0]
    assert "10/10 maps" in lines[1]
    assert lines[1].endswith("0:00 left, grad-cam")
    assert "\r" not in "".join(lines)


def test_on_a_terminal_it_is_written_over_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(4, "maps")
    progress.advance(2, "a-long-name")
    progress.advance(2, "cam")
    progress.end()
    written = capsys.readouterr().err
    _, first, second = written.split("\r")
    assert first.startswith("[############............] 2/4 maps")
    assert second.startswith("[########################] 4/4 maps")
    assert len(second) > len(first)  # nothing of the longer line is left; then a line break
    assert written.endswith("\n")
