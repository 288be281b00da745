"""One TorchServe after another."""

import asyncio
import logging
import os
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from gateway.launcher.java import find_java
from gateway.launcher.keeper import Keeper, keep_torchserve
from gateway.launcher.process import TorchServeError
from gateway.launcher.selection import references, select_served
from gateway.succession import Succession
from gateway.upstream import ModelRef
from model_store.archive import build_archive
from model_store.recipe import RecipeError

log = logging.getLogger(__name__)

_TIMEOUT_MARGIN_S = 30


@dataclass(frozen=True)
class Plan:
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


class Backends:
    """The TorchServe that serves, and the ones that follow it.

    Attributes:
        succession: tells the gateway to go over from one to the next.
    """

    def __init__(self, store: Path, names: Collection[str], run_dir: Path, least_timeout: float) -> None:
        """Takes what is served from where.

        Args:
            store: the model store.
            names: of the models to serve; none: all of the store whose weights are not random.
            run_dir: the launcher's folder.
            least_timeout: seconds after which a run is given up for lost, at least.

        Raises:
            JavaNotFoundError: there is no Java.
        """
        self._store, self._names, self._run_dir, self._least_timeout = store, names, run_dir, least_timeout
        self._java = find_java()
        self._current = AsyncExitStack()
        self._hangup = asyncio.Event()
        self.succession = Succession()

    def plan(self) -> Plan:
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
        return Plan(references(recipes.values()), archives, workers, run_timeout)

    async def first(self, plan: Plan) -> Keeper:
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
            except Exception:
                log.exception("the models stay as they were")

    async def close(self) -> None:
        """Ends the one that serves."""
        await self._current.aclose()

    async def _replace(self, plan: Plan) -> None:
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

    def _keep(self, plan: Plan) -> AbstractAsyncContextManager[Keeper]:
        return keep_torchserve(self._run_dir, self._java, plan.archives, plan.workers)
