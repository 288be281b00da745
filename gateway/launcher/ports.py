"""Free ports for TorchServe, which cannot be told to choose its own."""

import contextlib
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class TorchServePorts:
    """Ports on 127.0.0.1.

    Attributes:
        inference: gRPC.
        management: gRPC.
        rest: HTTP of both.
    """

    inference: int
    management: int
    rest: int


class PortReservation:
    """Holds ports for a process that is yet to bind them.

    The sockets are bound and never listen. With SO_REUSEADDR on both sides Linux lets another socket bind and listen on
    such a port, while nobody who asks for just any free port is given it.

    Attributes:
        ports: what is held.
    """

    def __init__(self) -> None:
        self._sockets = contextlib.ExitStack()
        self.ports = TorchServePorts(inference=self._hold(), management=self._hold(), rest=self._hold())

    def close(self) -> None:
        """Gives the ports back."""
        self._sockets.close()

    def _hold(self) -> int:
        held = self._sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
