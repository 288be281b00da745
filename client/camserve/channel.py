"""How the clients speak gRPC: channel options, retries, deadlines, errors."""

import json
from ipaddress import ip_address

import grpc

from camserve.errors import CamserveError, DeadlineExceededError, UnavailableError, from_rpc_error

DEFAULT_ADDRESS = "localhost:50051"
DEFAULT_TIMEOUT = 30.0
"""Seconds that a call may take, all attempts together."""

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
                # CANCELLED by the server: gRPC's word to a call that arrives just as the server closes.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    # Stops retries once 500 calls more than a tenth of those that went well have failed: so many may be under way to a
    # replica that dies.
    "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1},
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
    # A name is asked again soon when a replica has gone: gRPC's own pause of 30 s is longer than a rolling update.
    ("grpc.dns_min_time_between_resolutions_ms", 500),
)


def channel_target(address: str) -> str:
    """What gRPC calls an address.

    Args:
        address: host and port, any gRPC target, or several IP addresses with their ports between commas.

    Raises:
        ValueError: there are several, and not all are IP addresses of one kind.
    """
    addresses = [each.strip() for each in address.split(",")]
    if len(addresses) == 1 or "://" in address or address.startswith(("ipv4:", "ipv6:")):
        return address
    kinds = {_ip_version(each.rpartition(":")[0].strip("[]")) for each in addresses}
    if kinds not in ({4}, {6}):
        raise ValueError(
            f"address: of several, each must be an IP address with a port, all IPv4 or all IPv6, not {address!r}; "
            "a name that stands for several addresses is dns:///NAME:PORT"
        )
    return f"ipv{kinds.pop()}:{','.join(addresses)}"


def _ip_version(text: str) -> int | None:
    try:
        return ip_address(text).version
    except ValueError:
        return None


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
