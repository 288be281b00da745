"""Every command and snippet of README and docs, run as a reader would run them, beside the service.

Programs that would install, block or take minutes are replaced by a check of what they are told: ``make`` has to know
its target, ``pip`` to find the folder, ``camserve-server up`` and ``camserve-eval`` to understand their arguments. That
they do what they say is tested elsewhere. ``grpcurl``, which is not to be had here, is played by ``buf curl``, which
takes the same messages by the same reflection.
"""

import contextlib
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.launcher.server import Server
from model_store.recipe import load_recipe
from saliency import registry
from tests.documents import PAGES, Snippet, snippets
from tests.e2e.conftest import PICTURES
from tests.machine import ROOT

pytestmark = pytest.mark.slow

ALL = [snippet for page in PAGES for snippet in snippets(page)]
LANGUAGES = {"sh", "python", "yaml", "json", "go", "java", "text"}
"""A page that has another one needs a way to run it here."""

BIN = Path(sys.executable).parent
_PROGRAMS = {
    "make": f'for word in "$@"; do case $word in -*|*=*) ;; *) command {shutil.which("make")} -C {ROOT} -n "$word" '
    "> /dev/null || exit 1;; esac; done",
    "pip": 'for word in "$@"; do case $word in ./*) test -f "$word/pyproject.toml" || exit 1;; esac; done',
    "camserve-server": f"""case "$1" in
up) exec {sys.executable} -c 'import os, sys
from gateway.cli import parser
from gateway.launcher.selection import select_models
options = parser(os.environ).parse_args(sys.argv[1:])
select_models(options.model_store, options.models)' "$@" ;;
*) exec {BIN}/camserve-server "$@" ;; esac""",
    "camserve-eval": f"""exec {sys.executable} -c 'import sys
from evaluation.arguments import parser
parser().parse_args(sys.argv[1:])' "$@" """,
    "grpcurl": f"""test "$1 $2 $3" = "-plaintext -d @" || exit 1
exec {BIN}/buf curl --protocol grpc --http2-prior-knowledge --data @- "http://$4/$5" """,
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the pages speak of: photo.jpg, photos/, overlays/, the repository's own folders."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("client", "playground", "model_store"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(PICTURES, folder / "photos")
    shutil.copy(PICTURES / "star-and-circle.jpg", folder / "photo.jpg")
    shutil.copy(PICTURES / "star-and-circle.jpg", folder / "cat.jpg")
    (folder / "overlays").mkdir()
    (folder / "bin").mkdir()
    for name, script in _PROGRAMS.items():
        file = folder / "bin" / name
        file.write_text(f"#!/bin/bash\n{script}\n")
        file.chmod(0o755)
    with contextlib.chdir(folder):
        yield folder


def _here(code: str, server: Server) -> str:
    """The code for the server of these tests."""
    return re.sub(r"localhost:500\d\d", server.address, code)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_runs_from_the_top_of_its_page(
    page: Path, desk: Path, scenes: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in ("_methods", "_aliases"):  # what a page registers is for that page alone
        monkeypatch.setattr(registry, known, dict(getattr(registry, known)))
    namespace: dict[str, object] = {"__name__": "__main__"}
    for snippet in snippets(page):
        if snippet.language == "python" and not snippet.not_run:
            code = "\n" * (snippet.line - 1) + _here(snippet.code, scenes)
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(code, page, "exec"), namespace)  # noqa: S102


@pytest.mark.parametrize("snippet", [each for each in ALL if each.language == "sh" and not each.not_run], ids=str)
def test_commands_succeed(snippet: Snippet, desk: Path, scenes: Server) -> None:
    code = re.sub(r"(localhost:|--port )8000", rf"\g<1>{_free_port()}", _here(snippet.code, scenes))
    script = f"trap 'kill $(jobs -p) 2> /dev/null || true' EXIT; PATH={desk}/bin:$PATH; set -eo pipefail\n"
    code = code.replace('export PATH="$PWD/.venv/bin:$PATH"', "test -f photo.jpg")
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(desk),
        "CAMSERVE_SERVER": scenes.address,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client")]),
    }
    run = subprocess.run(
        ["bash", "-c", script + code],
        env=environment,
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, f"{snippet}\n{code}\n{run.stdout}\n{run.stderr}"


@pytest.mark.parametrize("snippet", [each for each in ALL if each.language == "yaml" and not each.not_run], ids=str)
def test_recipes_are_right(snippet: Snippet, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(snippet.code)
    assert load_recipe(tmp_path).description


def test_every_language_has_its_test_or_a_reason() -> None:
    assert {each.language for each in ALL} <= LANGUAGES
    unrun = [str(each) for each in ALL if each.language in ("go", "java", "json") and not each.not_run]
    assert unrun == []


def test_the_pages_of_the_site_are_those_in_its_navigation() -> None:
    named = set(re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    there = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert there <= named
    assert named - there <= {"claims.md", "errors.md"}


def test_versions_agree() -> None:
    projects = [ROOT / "pyproject.toml", ROOT / "client/pyproject.toml", ROOT / "playground/pyproject.toml"]
    versions = {tomllib.loads(project.read_text())["project"]["version"] for project in projects}
    (version,) = versions
    assert f'version: "{version}"' in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
