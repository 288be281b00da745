"""``camserve completion``: a script that completes the command in a shell."""

import argparse

import shtab

from camserve.commands.command import Commands

_EXAMPLES = """\
examples:
  camserve completion bash > ~/.local/share/bash-completion/completions/camserve
  camserve completion zsh > ~/.zfunc/_camserve
      and in ~/.zshrc, before compinit: fpath+=~/.zfunc
"""


def add(commands: Commands, root: argparse.ArgumentParser) -> None:
    """Declares the command, which needs no server."""
    completion = commands.add_parser(
        "completion",
        help="print a script that completes this command in a shell",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    completion.set_defaults(local=lambda arguments: _run(root, arguments.shell))


def _run(root: argparse.ArgumentParser, shell: str) -> int:
    print(shtab.complete(root, shell))
    return 0
