"""The suite: a service of its own, and the acts one after another."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from gateway.launcher.server import Server, run_server
from tests.chaos import acts
from tests.chaos.acts import QUEUE_ITEMS, Act
from tests.chaos.load import Caller
from tests.chaos.models import PACE, add_model
from tests.chaos.report import Report
from tests.chaos.scale import Scale
from tests.chaos.service import Service
from tests.chaos.soak import soak

ACTS: Mapping[str, Act] = {
    "overload": acts.overload,
    "streams": acts.streams,
    "storms": acts.storms,
    "hostility": acts.hostility,
    "soak": soak,
    "poison": acts.poison,
    "crashes": acts.crashes,
    "versions": acts.versions,
    "stop": acts.stop,
}


def run(names: Sequence[str], scale: Scale, log: IO[str]) -> Report:
    """Runs acts against a server that is started for them.

    Args:
        names: of the acts.
        scale: how much they throw at it.
        log: where the server's log goes.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        add_model(store, "steady", pace=PACE)
        add_model(store, "quick")
        arguments = ("--model-store", folder, "--models", "steady,quick")
        with run_server(*arguments, env={"CAMSERVE_QUEUE_ITEMS": str(QUEUE_ITEMS)}, log=log) as server:
            return asyncio.run(_run(server, store, names, scale))


async def _run(server: Server, store: Path, names: Sequence[str], scale: Scale) -> Report:
    report = Report()
    async with Caller(server.address) as caller:
        service = Service(server, store, caller)
        for name in names:
            await ACTS[name](service, scale, report)
    return report
