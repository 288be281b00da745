"""TorchServe as a child process that ends with its parent."""

import asyncio
import logging
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NoReturn, cast

from gateway.launcher import guardian
from gateway.launcher.config import command_line, write_config
from gateway.launcher.log import TorchServeLog, WorkerDied
from gateway.launcher.ports import TorchServePorts
from model_store.cores import share

log = logging.getLogger(__name__)

_LONGEST_TEMP_DIR = 60
_LONGEST_LINE = 2**20
_UNEXPLAINED_DEATHS = 3
"""A worker that dies this often before it is ready, and does not say why, is given up; one that does say, at once."""


class TorchServeError(Exception):
    """TorchServe or a worker of it cannot go on; the message says why, as far as its log does."""


def make_run_dir() -> Path:
    """Makes a temporary folder whose path is short enough for the Unix sockets of workers (108 bytes in all)."""
    parent = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="camserve-", dir=parent if len(parent) <= _LONGEST_TEMP_DIR else "/tmp"))  # noqa: S108


@contextmanager
def temporary_run_dir() -> Iterator[Path]:
    """A folder of `make_run_dir` as long as the context lasts."""
    run_dir = make_run_dir()
    try:
        yield run_dir
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


class TorchServeProcess:
    """A running TorchServe.

    Attributes:
        addresses: where it is reached from here once it has started.
        watching: follows its log as long as it runs, and ends with TorchServeError once TorchServe has ended, or once a
            worker died that never was ready.
    """

    def __init__(self, guarded: Process, ports: TorchServePorts) -> None:
        """Takes the guardian's process and the ports that TorchServe was told."""
        self.addresses = ports.addresses
        self._guarded = guarded
        self._log = TorchServeLog()
        self._serving = False
        self._unexplained: Counter[str] = Counter()
        self.watching = asyncio.create_task(self._watch())

    def serving(self) -> None:
        """Says that all workers were ready once: from now on TorchServe's own restarts mend what fails."""
        self._serving = True
        self._log.verbose = True

    async def stop(self) -> None:
        """Ends it with all its workers, and waits for that."""
        self.watching.cancel()
        await asyncio.gather(self.watching, return_exceptions=True)
        await self._guarded.communicate(b"stop")  # and reads on, lest it wait for a reader

    async def _watch(self) -> NoReturn:
        output = cast(asyncio.StreamReader, self._guarded.stdout)
        while True:
            try:
                line = await output.readline()
            except ValueError:  # it is longer than any line that matters
                continue
            if not line:
                break
            event = self._log.feed(line.decode(errors="replace"))
            if isinstance(event, WorkerDied):
                self._mourn(event)
            elif event:
                log.warning("TorchServe: %s", event)
        status = await self._guarded.wait()
        raise TorchServeError(f"TorchServe ended with status {status}; its last words:\n" + "\n".join(self._log.tail))

    def _mourn(self, death: WorkerDied) -> None:
        model = f"{death.model}:{death.version}"
        words = death.last_words
        if not death.explained:
            self._unexplained[model] += 1
            words += "\nIt did not say why: it may have been killed for using too much memory."
        if self._serving:
            log.error("a worker of %s died and is restarted; its last words:\n%s", model, words)
        elif death.explained or self._unexplained[model] == _UNEXPLAINED_DEATHS:
            raise TorchServeError(
                f"a worker of {model} died while it loaded the model:\n{words}\n"
                "Mend the model's folder or the cause above, then start again."
            )
        else:
            log.warning("a worker of %s died without a word while it loaded the model, and is restarted", model)


@asynccontextmanager
async def run_torchserve(
    run_dir: Path, java: Path, archives: Sequence[Path], workers: int, ports: TorchServePorts
) -> AsyncIterator[TorchServeProcess]:
    """Runs TorchServe as long as the context lasts, without waiting for its workers to be ready.

    Args:
        run_dir: the launcher's folder, from ``make_run_dir``. In it TorchServe gets one of its own, gone afterwards; if
            this process is killed, the whole goes.
        java: to run it with.
        archives: to load, all of one folder.
        workers: how many there will be in all.
        ports: to listen on.
    """
    own_dir = Path(tempfile.mkdtemp(prefix="ts-", dir=run_dir))
    write_config(own_dir, archives, ports)
    guarded = await asyncio.create_subprocess_exec(
        *(sys.executable, "-IS", guardian.__file__, str(own_dir), str(run_dir)),
        *command_line(java, own_dir, workers),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_LONGEST_LINE,
        cwd=own_dir,
        env=_environment(os.environ, own_dir, workers),
        start_new_session=True,  # Ctrl-C in a terminal is for the launcher alone
    )
    process = TorchServeProcess(guarded, ports)
    try:
        yield process
    finally:
        await process.stop()


def _environment(env: Mapping[str, str], run_dir: Path, workers: int) -> dict[str, str]:
    threads = str(share(workers))
    # TS_CONFIG_FILE would win over the configuration that we give.
    kept = {name: value for name, value in env.items() if name != "TS_CONFIG_FILE"}
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Threads that spin long while they wait for each other stall for hundreds of milliseconds on a machine that is
        # busy; ones that sleep at once wake up late in every layer, which costs a small network a fifth of its time.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "2000",  # some tens of microseconds
        # What a layer frees the next one gets, without the system taking it back and clearing it in between.
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**30),
        **kept,
        "TMPDIR": str(run_dir),
        "PYTHONFAULTHANDLER": "1",  # a crash in native code leaves a traceback too
    }
