"""Runs TorchServe and the gateway on one machine, from start to end."""

import asyncio
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.launcher.java import find_java
from gateway.launcher.keeper import Keeper, keep_torchserve
from gateway.launcher.process import TorchServeError, make_run_dir
from gateway.launcher.selection import references, select_served
from gateway.server import BoundPorts, serve
from gateway.settings import GatewaySettings
from gateway.succession import Succession
from gateway.upstream import ModelRef
from model_store.archive import build_archive
from model_store.recipe import RecipeError

log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TIMEOUT_MARGIN_S = 30


@dataclass(frozen=True)
class _Plan:
    """What a TorchServe is to serve.

    Attributes:
        models: the models.
        archives: to load.
        workers: how many there will be in all.
        run_timeout: seconds after which a run is given up for lost. A call that is given up while its worker still runs
            or restarts would cost the next one its worker.
    """

    models: list[ModelRef]
    archives: list[Path]
    workers: int
    run_timeout: float


class _Backends:
    """The TorchServe that serves, and the ones that follow it."""

    def __init__(self, store: Path, names: Collection[str], run_dir: Path, least_timeout: float) -> None:
        self._store, self._names, self._run_dir, self._least_timeout = store, names, run_dir, least_timeout
        self._java = find_java()
        self._current = AsyncExitStack()
        self._hangup = asyncio.Event()
        self.succession = Succession()

    def plan(self) -> _Plan:
        """Reads the store and builds archives.

        Raises:
            RecipeError: the models cannot be served as they are described.
            OSError: a file cannot be written.
        """
        recipes = select_served(self._store, self._names)
        archive_dir = self._store if os.access(self._store, os.W_OK) else self._run_dir / "archives"
        archives = [build_archive(folder, archive_dir) for folder in recipes]
        longest = max(recipe.worker.response_timeout_s + recipe.worker.startup_timeout_s for recipe in recipes.values())
        workers = sum(recipe.worker.count for recipe in recipes.values())
        run_timeout = max(self._least_timeout, longest + _TIMEOUT_MARGIN_S)
        return _Plan(references(recipes.values()), archives, workers, run_timeout)

    async def first(self, plan: _Plan) -> Keeper:
        """Starts the first one."""
        log.info("starting TorchServe, loading %s", ", ".join(map(str, plan.models)))
        return await self._current.enter_async_context(self._keep(plan))

    def reload(self) -> None:
        """Has another one follow, with the models as they are in the store now."""
        self._hangup.set()

    async def follow(self) -> None:
        """Lets another one follow whenever that is wished, for ever."""
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            log.info("reading the model store again")
            try:
                plan = await asyncio.to_thread(self.plan)
                log.info("starting another TorchServe, loading %s", ", ".join(map(str, plan.models)))
                await self._replace(plan)
            except (RecipeError, TorchServeError, OSError) as error:
                log.error("the models stay as they were: %s", error)

    async def close(self) -> None:
        """Ends the one that serves."""
        await self._current.aclose()

    async def _replace(self, plan: _Plan) -> None:
        async with AsyncExitStack() as next_one:
            keeper = await next_one.enter_async_context(self._keep(plan))
            replacing = asyncio.create_task(
                self.succession.replace(keeper.addresses, plan.models, plan.run_timeout, keeper.serving)
            )
            try:
                await asyncio.wait((replacing, keeper.failing), return_when=asyncio.FIRST_COMPLETED)
                if keeper.failing.done():
                    keeper.failing.result()
                await replacing
            finally:
                replacing.cancel()
            former, self._current = self._current, next_one.pop_all()
        await former.aclose()

    def _keep(self, plan: _Plan) -> AbstractAsyncContextManager[Keeper]:
        return keep_torchserve(self._run_dir, self._java, plan.archives, plan.workers)


async def launch(
    settings: GatewaySettings,
    store: Path,
    names: Collection[str],
    ready: Callable[[BoundPorts, list[ModelRef]], None],
) -> None:
    """Builds archives, starts TorchServe and the gateway, and serves until SIGTERM or SIGINT.

    A TorchServe that ends is started again. At SIGHUP the model store is read again, and another TorchServe follows the
    one that serves, without a gap.

    Args:
        settings: of the gateway.
        store: the model store.
        names: of the models to serve; none: all of the store whose weights are not random.
        ready: called once, when every model can answer.

    Raises:
        RecipeError: the models cannot be served as they are described.
        JavaNotFoundError: there is no Java.
        TorchServeError: TorchServe ended before all models were ready once, or a model could not be loaded.
        SettingError: a file that the settings name cannot be used.
        OSError: a port is taken, or a file cannot be written.
    """
    stop = _stop_on_signals()
    began = time.monotonic()
    run_dir = make_run_dir()
    try:
        backends = _Backends(store, names, run_dir, settings.upstream_timeout)
        plan = backends.plan()
        keeper = await backends.first(plan)
        if not sys.stdin.isatty():  # a terminal that closes sends this signal too, and shall end what runs in it
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, backends.reload)

        def on_ready(ports: BoundPorts) -> None:
            keeper.serving()
            log.info("ready in %.1f s", time.monotonic() - began)
            ready(ports, plan.models)

        following = asyncio.create_task(backends.follow())
        gateway = asyncio.create_task(
            serve(
                replace(settings, upstream_timeout=plan.run_timeout),
                keeper.addresses,
                plan.models,
                ready=on_ready,
                stop=stop,
                scratch=run_dir,  # which is removed even if this process is killed
                succession=backends.succession,
            )
        )
        try:
            await _run_both(gateway, keeper, stop)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await backends.close()
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


async def _run_both(gateway: asyncio.Task[None], keeper: Keeper, stop: asyncio.Event) -> None:
    """Waits for the gateway to end; should the first TorchServe fail to start, has it stop and raises why."""
    await asyncio.wait((gateway, keeper.failing), return_when=asyncio.FIRST_COMPLETED)
    if gateway.done() or not keeper.failing.cancelled():
        stop.set()
    await gateway
    if keeper.failing.done() and not keeper.failing.cancelled():
        keeper.failing.result()


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        log.info("stopping")
        stop.set()
        for number in _STOP_SIGNALS:  # a second one ends this process at once, and the guardian ends the rest
            loop.remove_signal_handler(number)

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    return stop
