"""``camserve completion``, and the version and help of the command."""

import re
import shutil
import subprocess

import pytest

from camserve.arguments import parser
from camserve.cli import main

COMMANDS = ("explain", "predict", "models", "doctor", "completion")


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is what completes")
def test_bash_completes_commands_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = """
COMP_WORDS=(camserve "${@}"); COMP_CWORD=$#; COMP_LINE="${COMP_WORDS[*]}"
_shtab_camserve; printf '%s\\n' "${COMPREPLY[@]}"
"""

    def completed(*words: str) -> list[str]:
        run = ["bash", "-c", script + ask, "bash", *words]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()

    assert completed("d") == ["doctor"]
    assert "--grid" in completed("explain", "--g")
    assert completed("explain", "--colormap", "vir") == ["viridis"]


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "explain" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"camserve \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_parse(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    examples = [line for line in lines if re.match(rf"(cat photo.jpg \| )?camserve {command} ", f"{line} ")]
    assert examples
    for line in examples:
        words = re.sub(r"^cat .*\| ", "", line.partition("  ")[0].partition(">")[0])
        assert parser().parse_args(_split(words)[1:])


def _split(words: str) -> list[str]:
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', words)]
