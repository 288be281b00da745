"""How the clients speak gRPC: channel options, retries, deadlines, errors."""

import json

import grpc

from camserve.errors import CamserveError, DeadlineExceededError, UnavailableError, from_rpc_error

DEFAULT_ADDRESS = "localhost:50051"
DEFAULT_TIMEOUT = 30.0
"""Seconds that a call may take, all attempts together."""

_OWN_MACHINE = ("localhost:", "127.0.0.1:", "[::1]:", "unix:")
_MIB = 1024 * 1024
_MAX_REQUEST_BYTES = 32 * _MIB
_MAX_RESPONSE_BYTES = 65 * _MIB
"""As a server sends by default: renderings of large images are large."""

_SERVICE_CONFIG = {
    # Behind a name with many addresses (a headless Kubernetes service) calls go to all of them.
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "camserve.v1.ExplanationService"}],
            # All methods are pure functions of the request, so what was not answered may be asked again.
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # Stops retries while more than about a tenth of the calls fail.
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
}

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_send_message_length", _MAX_REQUEST_BYTES),
    ("grpc.max_receive_message_length", _MAX_RESPONSE_BYTES),
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # gRPC retries only what it has kept; its default of 256 KiB is less than most images.
    ("grpc.per_rpc_retry_buffer_size", _MAX_REQUEST_BYTES),
    # A server that comes back is found soon: gRPC's own first pause is 1 s and its longest 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 5000),
)


def call_metadata(token: str, address: str, *, encrypted: bool) -> tuple[tuple[str, str], ...]:
    """What goes with every call.

    Args:
        token: the caller's; empty: it has none.
        address: of the server.
        encrypted: whether the channel is.

    Raises:
        ValueError: the token would leave this machine readable for everyone on the way.
    """
    if not token:
        return ()
    if not encrypted and not address.startswith(_OWN_MACHINE):
        raise ValueError(f"token: the connection to {address} is not encrypted; give credentials too")
    return (("authorization", f"Bearer {token}"),)


def checked_timeout(timeout: float) -> float:
    """Seconds that a call may take.

    Raises:
        ValueError: not above 0.
    """
    if not timeout > 0:
        raise ValueError(f"timeout: expected seconds above 0, got {timeout}")
    return timeout


def call_error(error: grpc.RpcError, address: str, timeout: float | None) -> CamserveError:
    """What a failed call means to the caller; failures of the connection itself name the address or the deadline."""
    known = from_rpc_error(error)
    if known.reason == "UNAVAILABLE":
        return UnavailableError(f"no camserve server answers at {address} ({known.message})", "SERVER_UNREACHABLE")
    if known.reason == "DEADLINE_EXCEEDED" and timeout is not None:
        return DeadlineExceededError(f"no answer within {timeout:g} s ({known.message})", known.reason)
    return known
