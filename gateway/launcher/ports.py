"""The ports of TorchServe, which cannot be told to choose its own."""

import contextlib
import socket
from dataclasses import dataclass, replace

from gateway.upstream import TorchServeAddresses

LOOPBACK = "127.0.0.1"
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


@dataclass(frozen=True)
class TorchServePorts:
    """Where TorchServe listens. A port of 0 is yet to be chosen.

    Attributes:
        inference: gRPC.
        management: gRPC.
        rest: HTTP of both, on loopback alone.
        metrics: HTTP of TorchServe's own metrics; None: it has none.
        host: address of the first two. TorchServe is for a private network at most: it gets no more security fixes.
        metrics_host: address of its metrics.
    """

    inference: int = 0
    management: int = 0
    rest: int = 0
    metrics: int | None = None
    host: str = LOOPBACK
    metrics_host: str = LOOPBACK

    @property
    def addresses(self) -> TorchServeAddresses:
        """Where the gRPC services are reached from this machine."""
        host = LOOPBACK if self.host in _EVERYWHERE else self.host
        return TorchServeAddresses(f"{host}:{self.inference}", f"{host}:{self.management}")


FREE_PORTS = TorchServePorts()
"""Free ones on loopback, and no metrics."""


class PortReservation:
    """Chooses free ports where none is wanted, and holds them for a process that is yet to bind them.

    The sockets are bound and never listen. With SO_REUSEADDR on both sides Linux lets another socket bind and listen on
    such a port, while nobody who asks for just any free port is given it.

    Attributes:
        ports: what was wanted, with those that were chosen.
    """

    def __init__(self, wanted: TorchServePorts = FREE_PORTS) -> None:
        self._sockets = contextlib.ExitStack()
        self.ports = replace(
            wanted,
            inference=wanted.inference or self._hold(),
            management=wanted.management or self._hold(),
            rest=wanted.rest or self._hold(),
            metrics=self._hold() if wanted.metrics == 0 else wanted.metrics,
        )

    def close(self) -> None:
        """Gives the ports back."""
        self._sockets.close()

    def _hold(self) -> int:
        held = self._sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, 0))
        return int(held.getsockname()[1])
