"""The TorchServe that serves, and the ones that follow it."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from gateway.launcher.java import find_java
from gateway.launcher.keeper import Keeper, keep_torchserve
from gateway.launcher.plan import Plan
from gateway.launcher.ports import TorchServePorts
from gateway.launcher.process import TorchServeError
from gateway.settings import GatewaySettings
from gateway.succession import Succession
from model_store.recipe import RecipeError

log = logging.getLogger(__name__)


class Backends:
    """Runs one TorchServe after another, each on free ports of its own.

    Attributes:
        keeper: of the one that serves; there once the first was started.
        succession: by which the gateway goes over to the next.
    """

    def __init__(
        self, store: Path, names: Collection[str], settings: GatewaySettings, run_dir: Path, ports: TorchServePorts
    ) -> None:
        """Takes what all of them have in common.

        Args:
            store: the model store.
            names: of the models to serve; none: all of the store whose weights are not random.
            settings: of the gateway.
            run_dir: the launcher's folder.
            ports: what they listen on; with numbers of 0, because there are two at a time.

        Raises:
            JavaNotFoundError: there is no Java.
        """
        self._store, self._names, self._settings, self._run_dir, self._ports = store, names, settings, run_dir, ports
        self._java = find_java()
        self._keeping = AsyncExitStack()
        self._hangup = asyncio.Event()
        self.succession = Succession()

    async def first(self, plan: Plan) -> Keeper:
        """Starts the first one, without waiting for it.

        Raises:
            RecipeError, OSError: as `Plan.archives`.
        """
        archives = await asyncio.to_thread(plan.archives, self._run_dir)
        log.info("starting TorchServe, loading %s", plan)
        self.keeper = await self._keeping.enter_async_context(self._keep(plan, archives))
        return self.keeper

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
                plan = await asyncio.to_thread(Plan.read, self._store, self._names)
                archives = await asyncio.to_thread(plan.archives, self._run_dir)
                log.info("starting another TorchServe, loading %s", plan)
                await self._replace(plan, archives)
            except (RecipeError, TorchServeError, OSError) as error:
                log.error("the models stay as they were: %s", error)
            except Exception:
                log.exception("the models stay as they were")

    async def close(self) -> None:
        """Ends the one that serves."""
        await self._keeping.aclose()

    async def _replace(self, plan: Plan, archives: list[Path]) -> None:
        async with AsyncExitStack() as next_one:
            keeper = await next_one.enter_async_context(self._keep(plan, archives))

            def switched() -> None:
                self.keeper = keeper
                keeper.serving()

            run_timeout = plan.patient(self._settings).upstream_timeout
            replacing = asyncio.create_task(
                self.succession.replace(keeper.addresses, plan.models, run_timeout, switched)
            )
            try:
                await asyncio.wait((replacing, keeper.failing), return_when=asyncio.FIRST_COMPLETED)
                if keeper.failing.done():
                    keeper.failing.result()
                await replacing
            finally:
                replacing.cancel()
            former, self._keeping = self._keeping, next_one.pop_all()
        await former.aclose()

    def _keep(self, plan: Plan, archives: list[Path]) -> AbstractAsyncContextManager[Keeper]:
        return keep_torchserve(self._run_dir, self._java, archives, plan.workers, self._ports)
