"""Runs TorchServe alone, or the gateway alone, from start to end."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from camserve.errors import CamserveError
from gateway.launcher.java import find_java
from gateway.launcher.keeper import keep_torchserve
from gateway.launcher.plan import Plan
from gateway.launcher.ports import TorchServePorts
from gateway.launcher.process import temporary_run_dir
from gateway.launcher.signals import stop_on_signals
from gateway.server import BoundPorts, serve
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef, TorchServe, TorchServeAddresses

log = logging.getLogger(__name__)

_LOOK_S = 0.2
_LOOK_TIMEOUT_S = 30.0


async def launch_torchserve(
    store: Path, names: Collection[str], ready: Callable[[TorchServePorts], None], ports: TorchServePorts
) -> None:
    """Builds archives and runs TorchServe alone until SIGTERM or SIGINT; stop its gateway first, which drains.

    A TorchServe that ends is started again.

    Args:
        store: the model store.
        names: of the models to serve; none: all of the store whose weights are not random.
        ready: called once, when every model has a worker.
        ports: where TorchServe listens.

    Raises:
        RecipeError, JavaNotFoundError, TorchServeError, OSError: as `launch`.
    """
    stop = stop_on_signals()
    plan = Plan.read(store, names)
    java = find_java()
    with temporary_run_dir() as run_dir:
        archives = await asyncio.to_thread(plan.archives, run_dir)
        log.info("starting TorchServe, loading %s", plan)
        async with keep_torchserve(run_dir, java, archives, plan.workers, ports) as keeper:

            async def run() -> None:
                await _all_ready(keeper.addresses, plan.models)
                keeper.serving()
                ready(keeper.ports)
                await stop.wait()

            running = asyncio.create_task(run())
            stopping = asyncio.create_task(stop.wait())
            try:
                done, _ = await asyncio.wait((running, stopping, keeper.failing), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
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
        SettingError: a file that the settings name cannot be used.
        OSError: a port is taken, or the folder cannot be written.
    """
    plan = Plan.read(store, names)
    await serve(
        plan.patient(settings),
        torchserve,
        plan.models,
        ready=lambda ports: ready(ports, plan.models),
        stop=stop_on_signals(),
        scratch=scratch,
    )


async def _all_ready(addresses: TorchServeAddresses, models: Sequence[ModelRef]) -> None:
    """Waits until every model has a worker that is ready."""
    torchserve = TorchServe(addresses, run_timeout=_LOOK_TIMEOUT_S)
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
