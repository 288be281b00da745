"""Serving ``/metrics`` over HTTP."""

from prometheus_client import CollectorRegistry, start_http_server


class MetricsServer:
    """An HTTP server, in a thread of its own, that shows a registry."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        """Listens; port 0 takes a free one.

        Raises:
            OSError: the port is taken.
        """
        self._server, self._thread = start_http_server(port, host, registry)
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stops listening; blocks for up to half a second."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
