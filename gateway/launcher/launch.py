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

from gateway.launcher.java import find_java
from gateway.launcher.process import TorchServeProcess, make_run_dir, run_torchserve
from gateway.launcher.selection import references, select_served
from gateway.server import BoundPorts, serve
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef
from model_store.archive import build_archive

log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TIMEOUT_MARGIN_S = 30


async def launch(
    settings: GatewaySettings,
    store: Path,
    names: Collection[str],
    ready: Callable[[BoundPorts, list[ModelRef]], None],
) -> None:
    """Builds archives, starts TorchServe and the gateway, and serves until SIGTERM or SIGINT.

    Args:
        settings: of the gateway.
        store: the model store.
        names: of the models to serve; none: all of the store whose weights are not random.
        ready: called once, when every model can answer.

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
    java = find_java()
    run_dir = make_run_dir()
    try:
        archive_dir = store if os.access(store, os.W_OK) else run_dir / "archives"
        archives = [build_archive(folder, archive_dir) for folder in recipes]
        # A call that is given up while its worker still runs or restarts would cost the next one its worker.
        longest = max(recipe.worker.response_timeout_s + recipe.worker.startup_timeout_s for recipe in recipes.values())
        settings = replace(settings, upstream_timeout=max(settings.upstream_timeout, longest + _TIMEOUT_MARGIN_S))
        workers = sum(recipe.worker.count for recipe in recipes.values())
        log.info("starting TorchServe, loading %s", ", ".join(map(str, models)))
        async with run_torchserve(run_dir, java, archives, workers) as torchserve:

            def on_ready(ports: BoundPorts) -> None:
                torchserve.serving()
                log.info("ready in %.1f s", time.monotonic() - began)
                ready(ports, models)

            gateway = asyncio.create_task(
                # In the run's folder, which is removed even if this process is killed.
                serve(settings, torchserve.addresses, models, ready=on_ready, stop=stop, scratch=run_dir)
            )
            await _run_both(gateway, torchserve, stop)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


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
