"""Runs TorchServe and the gateway on one machine, from start to end."""

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from gateway.launcher.backends import Backends
from gateway.launcher.keeper import Keeper
from gateway.launcher.process import make_run_dir
from gateway.server import BoundPorts, serve
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef

log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
        backends = Backends(store, names, run_dir, settings.upstream_timeout)
        plan = backends.plan()
        keeper = await backends.first(plan)
        if not os.isatty(0):  # a terminal that closes sends this signal too, and shall end what runs in it
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
