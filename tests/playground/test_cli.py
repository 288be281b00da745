import pytest

from camserve_playground.cli import main


def test_a_token_does_not_leave_the_machine_in_the_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAMSERVE_TOKEN", "secret")
    assert main(["--server", "explain.example:50051"]) == 2
    error = capsys.readouterr().err
    assert "not encrypted" in error
    assert "secret" not in error
