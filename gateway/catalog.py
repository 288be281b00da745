"""The models that are served now."""

import asyncio
from collections.abc import Iterator

from gateway.fleet import Fleet, ServedModel


class Catalog:
    """What of a succession of fleets is served now.

    A request that has found its model keeps it, whatever fleet follows.

    Attributes:
        fleets: the one that is served last, and before it those that requests are still on their way through.
    """

    def __init__(self, fleet: Fleet) -> None:
        """Takes the first fleet."""
        self.fleets = [fleet]

    def __iter__(self) -> Iterator[ServedModel]:
        """All versions of all models, by name, then by version."""
        return iter(self.fleets[-1])

    def find(self, name: str, version: str, field: str = "model") -> ServedModel:
        """As `Fleet.find`."""
        return self.fleets[-1].find(name, version, field)

    def knows_method(self, name: str) -> bool:
        """As `Fleet.knows_method`."""
        return self.fleets[-1].knows_method(name)

    async def settle(self, patience: float) -> None:
        """Gives runs that nobody waits for any more the time to end, in seconds."""
        await asyncio.gather(*(fleet.settle(patience) for fleet in self.fleets))

    async def close(self) -> None:
        """Closes every connection to a TorchServe."""
        for fleet in self.fleets:
            await fleet.close()
