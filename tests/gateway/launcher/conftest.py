import contextlib
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gateway.launcher.ports import PortReservation, TorchServePorts

ArchiveFactory = Callable[[str, str], Path]
DEADLINE_S = 60.0


def until(holds: Callable[[], bool], what: str, seconds: float = DEADLINE_S) -> None:
    """Waits until something holds, for a bounded time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.02)


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs any more."""
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    from gateway.launcher.process import make_run_dir

    folder = make_run_dir()
    yield folder
    if folder.exists():
        assert list(folder.iterdir()) == [], "something was left behind in the run's folder"
        folder.rmdir()


@pytest.fixture
def ports() -> Iterator[TorchServePorts]:
    with contextlib.closing(PortReservation()) as reservation:
        yield reservation.ports


@pytest.fixture
def make_archive(tmp_path: Path) -> ArchiveFactory:
    """Makes an archive of a name around the source of a handler."""

    def make(name: str, handler: str) -> Path:
        manifest = {
            "createdOn": "01/01/1980 00:00:00",
            "archiverVersion": "0.12.0",
            "runtime": "python",
            "model": {"modelName": name, "modelVersion": "1", "handler": f"{name}.py", "configFile": "c.yaml"},
        }
        archive = tmp_path / f"{name}-1.mar"
        with zipfile.ZipFile(archive, "w") as package:
            package.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
            package.writestr("c.yaml", "{minWorkers: 1, maxWorkers: 1, batchSize: 1, maxBatchDelay: 1}")
            package.writestr(f"{name}.py", handler)
        return archive

    return make
