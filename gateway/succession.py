"""One TorchServe after another, without a gap."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from gateway.catalog import Catalog
from gateway.fleet import Fleet
from gateway.metrics import Metrics
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef, TorchServe, TorchServeAddresses

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Wish:
    upstream: TorchServeAddresses
    models: Sequence[ModelRef]
    run_timeout: float
    switched: Callable[[], None]
    done: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Succession:
    """Asks a running gateway to go over to another TorchServe."""

    def __init__(self) -> None:
        self._wishes: asyncio.Queue[_Wish] = asyncio.Queue()

    async def replace(
        self,
        upstream: TorchServeAddresses,
        models: Sequence[ModelRef],
        run_timeout: float,
        switched: Callable[[], None],
    ) -> None:
        """Goes over to another TorchServe once all its models have answered.

        Requests that come from then on are answered by it; those that came before by the one before. Cancelled before
        the models have answered, it has no effect.

        Args:
            upstream: where the new one listens. It may come up later.
            models: what it serves.
            run_timeout: seconds after which a run of it is given up for lost.
            switched: called when new requests go to it.

        Returns:
            When nothing needs the one before any more.
        """
        wish = _Wish(upstream, models, run_timeout, switched)
        await self._wishes.put(wish)
        await wish.done

    async def reign(
        self,
        catalog: Catalog,
        settings: GatewaySettings,
        metrics: Metrics,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        """Watches the catalog's fleet and those that follow it, for ever.

        Args:
            catalog: what is served.
            settings: what the gateway takes on.
            metrics: where it accounts.
            changed: is called when a model becomes ready or stops being so, and when a fleet follows another.
        """
        async with asyncio.TaskGroup() as watches:
            watch = watches.create_task(catalog.fleets[-1].watch(changed))
            while True:
                wish = await self._wishes.get()
                fleet = Fleet(TorchServe(wish.upstream, wish.run_timeout), wish.models, settings, metrics)
                ready = asyncio.Event()
                next_watch = watches.create_task(fleet.watch(_announcing(fleet, ready, changed)))
                if not await _either(ready, wish.done):
                    next_watch.cancel()
                    await fleet.close()
                    continue
                former = catalog.fleets[-1]
                catalog.fleets.append(fleet)
                wish.switched()
                await changed()
                log.info("now serving %s", ", ".join(str(served.ref) for served in fleet))
                await former.unheld()
                await former.settle(settings.drain_timeout)
                watch.cancel()
                catalog.fleets.remove(former)
                await former.close()
                watch = next_watch
                if not wish.done.done():
                    wish.done.set_result(None)


def _announcing(
    fleet: Fleet, ready: asyncio.Event, changed: Callable[[], Awaitable[None]]
) -> Callable[[], Awaitable[None]]:
    async def call() -> None:
        if fleet.ready:
            ready.set()
        if ready.is_set():
            await changed()

    return call


async def _either(event: asyncio.Event, given_up: "asyncio.Future[None]") -> bool:
    """Waits for an event, or for the one who wanted it to give up; returns whether it came."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((waiting, given_up), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return event.is_set() and not given_up.cancelled()
