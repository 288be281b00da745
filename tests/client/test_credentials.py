from pathlib import Path

import pytest

from camserve import AsyncExplanationClient, ExplanationClient, tls_credentials
from camserve.cli import main


@pytest.mark.parametrize("kind", [ExplanationClient, AsyncExplanationClient])
async def test_a_token_does_not_leave_the_machine_in_the_open(
    kind: type[ExplanationClient] | type[AsyncExplanationClient],
) -> None:
    with pytest.raises(ValueError, match=r"token: the connection to explain.example:50051 is not encrypted"):
        kind("explain.example:50051", token="secret")
    with pytest.raises(ValueError, match="is not encrypted"):
        kind("127.0.0.1:50051, 10.0.0.1:50051", token="secret")
    kind("explain.example:50051", token="secret", credentials=tls_credentials())
    for address in ("localhost:50051", "127.0.0.1:1", "[::1]:1", "127.0.0.1:1, 127.0.0.1:2", "unix:/run/camserve"):
        kind(address, token="secret")


def test_a_certificate_goes_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="certificate, key: give both"):
        tls_credentials(certificate=tmp_path / "client.pem")
    with pytest.raises(FileNotFoundError):
        tls_credentials(ca=tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--server", "explain.example:50051"], "not encrypted"),
        (["--key", "client.key"], "give both"),
        (["--ca", "/nowhere/ca.pem"], "/nowhere/ca.pem"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAMSERVE_TOKEN", "secret")
    assert main(["models", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "secret" not in error
