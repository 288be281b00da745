"""What ``grpc.health.v1`` says."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

from gateway.catalog import Catalog

_TIMEOUT = 5.0


class Health:
    """Health of the whole server, of its service and of each model.

    A model is served while its default version is ready; the server (``""``) and the service while every version of
    every model is.
    """

    def __init__(self, service: str, catalog: Catalog) -> None:
        """Takes the full name of the service."""
        self.servicer = aio.HealthServicer()
        self._service = service
        self._catalog = catalog
        self._names: set[str] = set()

    async def update(self) -> None:
        """Says what the catalog knows now."""
        everything = all(served.ready for served in self._catalog)
        names = {"": everything, self._service: everything}
        names.update({served.ref.name: served.ready for served in self._catalog if served.ref.default})
        names |= dict.fromkeys(self._names - set(names), False)  # models that are served no more
        self._names.update(names)
        for name, serving in names.items():
            status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
            await self.servicer.set(name, status)

    async def close(self) -> None:
        """Says NOT_SERVING from now on, whatever happens."""
        await self.servicer.enter_graceful_shutdown()


def check_health(address: str, credentials: grpc.ChannelCredentials | None = None, name: str | None = None) -> bool:
    """Asks a server whether all that it serves is ready; one that does not answer within 5 s is not.

    Args:
        address: its host and port.
        credentials: for one that speaks TLS.
        name: in its certificate; None: the host.
    """
    options = [("grpc.ssl_target_name_override", name)] if name else None
    with (
        grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address)
    ) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT)
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
