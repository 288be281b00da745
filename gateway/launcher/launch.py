"""Runs TorchServe and the gateway from start to end: both on one machine, or each in a place of its own."""

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from camserve.errors import CamserveError
from gateway.launcher.java import find_java
from gateway.launcher.ports import FREE_PORTS, TorchServePorts
from gateway.launcher.process import TorchServeProcess, make_run_dir, run_torchserve
from gateway.launcher.selection import references, select_served
from gateway.server import BoundPorts, serve
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef, TorchServe, TorchServeAddresses
from model_store.archive import build_archive, is_current
from model_store.recipe import Recipe

log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TIMEOUT_MARGIN_S = 30
_LOOK_S = 0.2


async def launch(
    settings: GatewaySettings,
    store: Path,
    names: Collection[str],
    ready: Callable[[BoundPorts, list[ModelRef]], None],
    ports: TorchServePorts = FREE_PORTS,
) -> None:
    """Builds archives, starts TorchServe and the gateway, and serves until SIGTERM or SIGINT.

    Args:
        settings: of the gateway.
        store: the model store.
        names: of the models to serve; none: all of the store whose weights are not random.
        ready: called once, when every model can answer.
        ports: where TorchServe listens.

    Raises:
        RecipeError: the models cannot be served as they are described.
        JavaNotFoundError: there is no Java.
        TorchServeError: TorchServe ended, or a model could not be loaded.
        OSError: a port is taken, or a file cannot be written.
    """
    stop = _stop_on_signals()
    began = time.monotonic()
    recipes = select_served(store, names)
    models = references(recipes.values())
    async with _torchserve(store, recipes, ports) as (torchserve, run_dir):

        def on_ready(ports: BoundPorts) -> None:
            torchserve.serving()
            log.info("ready in %.1f s", time.monotonic() - began)
            ready(replace(ports, torchserve_metrics=torchserve.ports.metrics), models)

        gateway = asyncio.create_task(
            # In the run's folder, which is removed even if this process is killed.
            serve(
                _patient(settings, recipes.values()),
                torchserve.addresses,
                models,
                ready=on_ready,
                stop=stop,
                scratch=run_dir,
            )
        )
        await _run_both(gateway, torchserve, stop)


async def launch_torchserve(
    store: Path, names: Collection[str], ready: Callable[[TorchServePorts], None], ports: TorchServePorts
) -> None:
    """Builds archives and runs TorchServe alone until SIGTERM or SIGINT; stop its gateway first, which drains.

    Args:
        store: the model store.
        names: of the models to serve; none: all of the store whose weights are not random.
        ready: called once, when every model has a worker.
        ports: where TorchServe listens.

    Raises:
        RecipeError, JavaNotFoundError, TorchServeError, OSError: as `launch`.
    """
    stop = _stop_on_signals()
    recipes = select_served(store, names)
    async with _torchserve(store, recipes, ports) as (torchserve, _):

        async def run() -> None:
            await _all_ready(torchserve.addresses, references(recipes.values()))
            torchserve.serving()
            ready(torchserve.ports)
            await stop.wait()

        running = asyncio.create_task(run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((running, stopping, torchserve.watching), return_when=asyncio.FIRST_COMPLETED)
            if torchserve.watching.done():
                await torchserve.watching
        finally:
            running.cancel()
            stopping.cancel()


async def launch_gateway(
    settings: GatewaySettings,
    store: Path,
    names: Collection[str],
    ready: Callable[[BoundPorts, list[ModelRef]], None],
    *,
    torchserve: TorchServeAddresses,
    scratch: Path | None,
) -> None:
    """Runs the gateway alone until SIGTERM or SIGINT, in front of a TorchServe that runs elsewhere.

    Args:
        settings: of the gateway.
        store: the same model store, of which recipes alone are read here.
        names: the same models.
        ready: called once, when every model can answer.
        torchserve: where TorchServe listens; it may come up later.
        scratch: a folder that its workers reach by the same path, in which they are told of callers that have gone;
            None: they are not, and iterative methods go on until their deadline.

    Raises:
        RecipeError: the models cannot be served as they are described.
        OSError: a port is taken, or the folder cannot be written.
    """
    recipes = select_served(store, names)
    models = references(recipes.values())
    await serve(
        _patient(settings, recipes.values()),
        torchserve,
        models,
        ready=lambda ports: ready(ports, models),
        stop=_stop_on_signals(),
        scratch=scratch,
    )


@asynccontextmanager
async def _torchserve(
    store: Path, recipes: Mapping[Path, Recipe], ports: TorchServePorts
) -> AsyncIterator[tuple[TorchServeProcess, Path]]:
    """TorchServe with the models loading, and its folder, which is gone afterwards."""
    java = find_java()
    run_dir = make_run_dir()
    try:
        kept = os.access(store, os.W_OK) or all(is_current(folder, store) for folder in recipes)
        archive_dir = store if kept else run_dir / "archives"
        archives = [build_archive(folder, archive_dir) for folder in recipes]
        workers = sum(recipe.worker.count for recipe in recipes.values())
        log.info("starting TorchServe, loading %s", ", ".join(map(str, references(recipes.values()))))
        async with run_torchserve(run_dir, java, archives, workers, ports) as torchserve:
            yield torchserve, run_dir
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


def _patient(settings: GatewaySettings, recipes: Collection[Recipe]) -> GatewaySettings:
    """The settings, with a call to TorchServe not given up while its worker runs or restarts.

    That would cost the next call its worker.
    """
    longest = max(recipe.worker.response_timeout_s + recipe.worker.startup_timeout_s for recipe in recipes)
    return replace(settings, upstream_timeout=max(settings.upstream_timeout, longest + _TIMEOUT_MARGIN_S))


async def _all_ready(addresses: TorchServeAddresses, models: Sequence[ModelRef]) -> None:
    """Waits until every model has a worker that is ready."""
    torchserve = TorchServe(addresses, run_timeout=_TIMEOUT_MARGIN_S)
    try:
        for model in models:
            while not await _has_worker(torchserve, model):  # noqa: ASYNC110 - it tells nobody when it has one
                await asyncio.sleep(_LOOK_S)
    finally:
        await torchserve.close()


async def _has_worker(torchserve: TorchServe, model: ModelRef) -> bool:
    try:
        return (await torchserve.workers(model)).ready > 0
    except CamserveError:  # it is still starting
        return False


async def _run_both(gateway: asyncio.Task[None], torchserve: TorchServeProcess, stop: asyncio.Event) -> None:
    """Waits for the gateway to end; should TorchServe fail first, has the gateway stop and raises why."""
    await asyncio.wait((gateway, torchserve.watching), return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await gateway
    if torchserve.watching.done():
        await torchserve.watching


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
