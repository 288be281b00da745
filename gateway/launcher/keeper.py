"""Keeping a TorchServe alive."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

from gateway.launcher.ports import FREE_PORTS, PortReservation, TorchServePorts
from gateway.launcher.process import TorchServeError, TorchServeProcess, run_torchserve

log = logging.getLogger(__name__)

_PAUSES = (1.0, 60.0)  # seconds before a restart: the first, doubled each time, and the longest
_GOOD_RUN = 60.0  # seconds after which a TorchServe that ends is not taken for one that cannot start


class Keeper:
    """Starts a TorchServe again when it ends, on the same ports, with pauses that grow.

    Attributes:
        ports: what it listens on.
        addresses: where it is reached from here.
        failing: ends with TorchServeError if it cannot start at all: it or a worker ended before all were ready once.
    """

    def __init__(
        self, run_dir: Path, java: Path, archives: Sequence[Path], workers: int, ports: TorchServePorts
    ) -> None:
        """Takes what `run_torchserve` takes."""
        self.ports = ports
        self.addresses = ports.addresses
        self._arguments = (run_dir, java, archives, workers, ports)
        self._served = False
        self._process: TorchServeProcess | None = None
        self.failing = asyncio.create_task(self._keep())

    def serving(self) -> None:
        """Says that all workers were ready once: from now on whatever ends is started again."""
        self._served = True
        if self._process is not None:
            self._process.serving()

    async def stop(self) -> None:
        """Ends TorchServe, and waits for that."""
        self.failing.cancel()
        await asyncio.gather(self.failing, return_exceptions=True)

    async def _keep(self) -> NoReturn:
        pause, longest = _PAUSES
        while True:
            began = time.monotonic()
            async with run_torchserve(*self._arguments) as self._process:
                if self._served:
                    self._process.serving()
                try:
                    await self._process.watching
                except TorchServeError as error:
                    if not self._served:
                        raise
                    if time.monotonic() - began > _GOOD_RUN:
                        pause = _PAUSES[0]
                    log.error("%s\nIt is started again in %g s.", error, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)


@asynccontextmanager
async def keep_torchserve(
    run_dir: Path, java: Path, archives: Sequence[Path], workers: int, wanted: TorchServePorts = FREE_PORTS
) -> AsyncIterator[Keeper]:
    """Keeps a TorchServe running as long as the context lasts, without waiting for its workers to be ready.

    Args:
        run_dir: the launcher's folder, from ``make_run_dir``.
        java: to run it with.
        archives: to load, all of one folder.
        workers: how many there will be in all.
        wanted: where it listens; by default on loopback, on free ports.
    """
    with contextlib.closing(PortReservation(wanted)) as reservation:
        keeper = Keeper(run_dir, java, archives, workers, reservation.ports)
        try:
            yield keeper
        finally:
            await keeper.stop()
