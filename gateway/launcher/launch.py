"""Runs TorchServe and the gateway on one machine, from start to end."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from gateway.launcher.backends import Backends
from gateway.launcher.keeper import Keeper
from gateway.launcher.plan import Plan
from gateway.launcher.ports import FREE_PORTS
from gateway.launcher.process import temporary_run_dir
from gateway.launcher.relay import relay
from gateway.launcher.signals import reload_on_hangup, stop_on_signals
from gateway.server import BoundPorts, serve
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef

log = logging.getLogger(__name__)


async def launch(
    settings: GatewaySettings,
    store: Path,
    names: Collection[str],
    ready: Callable[[BoundPorts, list[ModelRef]], None],
    torchserve_metrics: int | None = None,
) -> None:
    """Builds archives, starts TorchServe and the gateway, and serves until SIGTERM or SIGINT.

    A TorchServe that ends is started again. At SIGHUP the model store is read again, and another TorchServe follows the
    one that serves, without a gap.

    Args:
        settings: of the gateway.
        store: the model store.
        names: of the models to serve; none: all of the store whose weights are not random.
        ready: called once, when every model can answer.
        torchserve_metrics: port on loopback of TorchServe's own metrics, 0 for a free one; None: it has none.

    Raises:
        RecipeError: the models cannot be served as they are described.
        JavaNotFoundError: there is no Java.
        TorchServeError: TorchServe ended before all models were ready once, or a model could not be loaded.
        SettingError: a file that the settings name cannot be used.
        OSError: a port is taken, or a file cannot be written.
    """
    stop = stop_on_signals()
    began = time.monotonic()
    plan = Plan.read(store, names)
    async with AsyncExitStack() as stack:
        run_dir = stack.enter_context(temporary_run_dir())
        own_ports = FREE_PORTS if torchserve_metrics is None else replace(FREE_PORTS, metrics=0)
        backends = Backends(store, names, settings, run_dir, own_ports)
        stack.push_async_callback(backends.close)
        keeper = await backends.first(plan)
        reload_on_hangup(backends.reload)
        if torchserve_metrics is not None:
            relayed = relay(torchserve_metrics, lambda: backends.keeper.ports.metrics or 0)
            torchserve_metrics = await stack.enter_async_context(relayed)

        def on_ready(ports: BoundPorts) -> None:
            keeper.serving()
            log.info("ready in %.1f s", time.monotonic() - began)
            ready(replace(ports, torchserve_metrics=torchserve_metrics), plan.models)

        following = asyncio.create_task(backends.follow())
        gateway = asyncio.create_task(
            serve(
                plan.patient(settings),
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


async def _run_both(gateway: asyncio.Task[None], keeper: Keeper, stop: asyncio.Event) -> None:
    """Waits for the gateway to end; should the first TorchServe fail to start, has it stop and raises why."""
    await asyncio.wait((gateway, keeper.failing), return_when=asyncio.FIRST_COMPLETED)
    if gateway.done() or not keeper.failing.cancelled():
        stop.set()
    await gateway
    if keeper.failing.done() and not keeper.failing.cancelled():
        keeper.failing.result()
