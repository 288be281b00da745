from pathlib import Path

import pytest

from gateway.access.callers import Callers, new_token
from gateway.cli import main
from gateway.settings import SettingError

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "callers.yaml"),
        ("callers: [", "cannot be read as YAML"),
        ("callers: {}", "callers"),
        ("callers: [{name: shop}]", "callers.0.tokens"),
        ("callers: [{name: shop, tokens: [secret]}]", "callers.0.tokens.0"),
        (f"callers: [{{name: 'a b', tokens: ['{DIGEST}']}}]", "callers.0.name"),
        (f"callers: [{{name: shop, tokens: ['{DIGEST}'], burst: 0}}]", "callers.0.burst"),
        (f"callers: [{{name: shop, tokens: ['{DIGEST}'], speed: 1}}]", "callers.0.speed"),
        (f"callers: [{{name: a, tokens: ['{DIGEST}']}}, {{name: b, tokens: ['{DIGEST}']}}]", "twice"),
    ],
)
def test_a_file_that_is_wrong_is_told_what(callers_file: Path, text: str, told: str) -> None:
    callers_file.write_text(text)
    with pytest.raises(SettingError, match="CAMSERVE_CALLERS_FILE") as caught:
        Callers(callers_file)
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there(callers_file: Path) -> None:
    with pytest.raises(SettingError, match="CAMSERVE_CALLERS_FILE"):
        Callers(callers_file)


def test_a_caller_may_have_two_tokens_while_one_replaces_the_other(callers_file: Path) -> None:
    (old, old_digest), (new, new_digest) = new_token(), new_token()
    callers_file.write_text(f"callers: [{{name: shop, tokens: ['{old_digest}', '{new_digest}']}}]")
    callers = Callers(callers_file)
    assert callers.find(old) is callers.find(new) is not None
    assert callers.find(old_digest) is None


def test_the_command_makes_a_token_that_fits_the_file(callers_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "shop"]) == 0
    out, err = capsys.readouterr()
    token = err.split()[-1]
    assert token not in out
    callers_file.write_text("callers:\n" + out)
    allowance = Callers(callers_file).find(token)
    assert allowance is not None
    assert allowance.name == "shop"
