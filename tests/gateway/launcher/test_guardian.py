import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gateway.launcher import guardian
from tests.gateway.launcher.conftest import all_gone, tree, until

# Starts a child that ignores SIGTERM, which says that it is up, and waits.
FAMILY = """
import subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child])
time.sleep(600)
"""


def command(run_dir: Path, *guarded: str) -> list[str]:
    return [sys.executable, "-IS", guardian.__file__, str(run_dir), str(run_dir.parent), *guarded]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run" / "own"
    folder.mkdir(parents=True)
    (folder / "file").touch()
    return folder


@pytest.fixture
def family(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", list[psutil.Process]]]:
    """A guardian and the three processes: itself, the command and the command's child."""
    process = subprocess.Popen(
        command(folder, sys.executable, "-c", FAMILY), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        processes = tree(process.pid)
        assert len(processes) == 3
        yield process, processes


def test_passes_on_the_status_of_the_command(folder: Path) -> None:
    for code, status in (("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)):
        with subprocess.Popen(command(folder, sys.executable, "-c", code), stdin=subprocess.PIPE) as process:
            assert process.wait() == status
        assert not folder.exists()


def test_ends_all_when_it_is_told_to(
    folder: Path, family: tuple["subprocess.Popen[bytes]", list[psutil.Process]]
) -> None:
    process, processes = family
    process.communicate(b"stop")
    assert all_gone(processes)
    assert not folder.exists()
    assert folder.parent.exists()  # the owner's


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_leaves_signals_to_its_owner(
    family: tuple["subprocess.Popen[bytes]", list[psutil.Process]], number: signal.Signals
) -> None:
    process, processes = family
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 128 + signal.SIGKILL  # the command's end, after the pipe's, and not its own
    assert all_gone(processes)


def test_ends_all_when_the_owner_is_killed(folder: Path) -> None:
    owner = (
        f"import subprocess, time; subprocess.Popen({command(folder, sys.executable, '-c', FAMILY)!r}, stdin=-1).wait()"
    )
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        processes = tree(process.pid)
        assert len(processes) == 4
        process.kill()
    until(lambda: all_gone(processes), "all processes are gone")
    assert not folder.parent.exists()


def test_the_command_is_killed_when_the_guardian_is(
    family: tuple["subprocess.Popen[bytes]", list[psutil.Process]],
) -> None:
    process, (_, guarded, child) = family
    process.kill()
    until(lambda: all_gone([guarded]), "the command is gone")
    child.kill()
