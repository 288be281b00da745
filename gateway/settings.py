"""Settings of the gateway and the environment variables that set them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PREFIX = "CAMSERVE_"
"""Every setting is read from the variable of its name in capitals after this prefix."""

MIB = 1024 * 1024


class SettingError(ValueError):
    """A setting has a value that it cannot have; the message names its variable."""


def _between(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"bounds": (low, high)})


@dataclass(frozen=True)
class GatewaySettings:
    """How the gateway listens and what it takes on.

    Attributes:
        host: address that gRPC and metrics listen on; ``0.0.0.0`` opens both to the network, so see that the gRPC port
            is encrypted then, and that strangers do not reach the metrics.
        port: gRPC port; 0 takes a free one.
        metrics_port: HTTP port of ``/metrics``; 0 takes a free one.
        tls_certificate: PEM file with the server's certificate and those between it and the root; empty: the gRPC port
            is not encrypted.
        tls_key: PEM file with its private key.
        tls_client_ca: PEM file with the roots of callers' certificates, which every caller must then have.
        callers_file: YAML file with the tokens and limits of callers; empty: everyone may call. This file and those of
            TLS are read again when they change.
        queue_items: requests that may wait for one model; those of bulk streams take half the places at most.
        queue_bytes: bytes that may wait for one model; the same goes for them.
        queue_cost: cost that may wait for one model, in forwards of it, about; an explanation by gradients costs 1,
            one by 100 steps of a search 100; the same goes for bulk streams.
        pack_items: requests that one run of a model answers at most.
        pack_bytes: bytes of one run at most; a larger request still goes, alone.
        pack_cost: cost of one run at most; a more expensive request still goes, alone.
        stream_items: items of one bulk stream that are in hand at a time.
        max_image_bytes: largest encoded image, in bytes.
        max_response_bytes: largest response, in bytes; bounds the renderings of one request.
        default_deadline: seconds given to a request that comes without a deadline.
        max_deadline: seconds given to any request at most.
        render_threads: threads that render maps.
        poll_interval: seconds between looks at a model that is ready. Choose 15 or more on GPU hosts, where TorchServe
            starts ``nvidia-smi`` at every look.
        upstream_timeout: seconds after which a run of a model is given up for lost; longer than the models' own
            response and startup timeouts together, because TorchServe restarts a worker when a call is given up.
        quarantine: seconds for which a request that killed two workers is refused.
        drain_timeout: seconds that accepted requests may take to finish when the server stops.
        log_calls: 1 logs a line for each call, without anything of the image or the texts in it.
    """

    host: str = "127.0.0.1"
    port: int = _between(50051, 0, 65535)
    metrics_port: int = _between(9464, 0, 65535)
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    callers_file: str = ""
    queue_items: int = _between(256, 1, 100_000)
    queue_bytes: int = _between(256 * MIB, MIB, 2**40)
    queue_cost: int = _between(4096, 1, 10**9)
    pack_items: int = _between(16, 1, 1024)
    pack_bytes: int = _between(24 * MIB, 1, 30 * MIB)
    pack_cost: int = _between(512, 1, 10**9)
    stream_items: int = _between(32, 1, 1024)
    max_image_bytes: int = _between(16 * MIB, 1024, 30 * MIB)
    max_response_bytes: int = _between(64 * MIB, MIB, 1024 * MIB)
    default_deadline: float = _between(60.0, 0.001, 3600.0)
    max_deadline: float = _between(600.0, 0.001, 3600.0)
    render_threads: int = _between(2, 1, 256)
    poll_interval: float = _between(2.0, 0.01, 3600.0)
    upstream_timeout: float = _between(900.0, 1.0, 86400.0)
    quarantine: float = _between(600.0, 0.0, 86400.0)
    drain_timeout: float = _between(30.0, 0.0, 3600.0)
    log_calls: int = _between(0, 0, 1)

    def __post_init__(self) -> None:
        """Checks bounds.

        Raises:
            SettingError: a value is out of its bounds.
        """
        for setting in fields(self):
            low, high = setting.metadata.get("bounds", (None, None))
            value = getattr(self, setting.name)
            if low is not None and not low <= value <= high:
                raise SettingError(f"{variable(setting.name)} must be {low} to {high}, not {value}")

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ, **overrides: Any) -> "GatewaySettings":
        """Reads the settings that the environment sets; the others keep their defaults.

        Args:
            env: the environment.
            overrides: settings that win over the environment; None leaves one to it.

        Raises:
            SettingError: a variable cannot be read or is out of its bounds.
        """
        values = {name: value for name, value in overrides.items() if value is not None}
        for setting in fields(cls):
            text = env.get(variable(setting.name), "").strip()
            if text and setting.name not in values:
                values[setting.name] = _parsed(setting.name, setting.type, text)
        return cls(**values)


def variable(setting: str) -> str:
    """Name of a setting's environment variable."""
    return PREFIX + setting.upper()


def _parsed(setting: str, kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        what = {int: "a whole number", float: "a number"}[kind]
        raise SettingError(f"{variable(setting)} must be {what}, not {text!r}") from None
