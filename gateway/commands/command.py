"""What the commands have in common."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import model_store
from gateway.launcher.ports import LOOPBACK
from gateway.logs import LOG_FORMATS
from gateway.server import BoundPorts
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Environment: TypeAlias = Mapping[str, str]


def store_arguments(env: Environment) -> argparse.ArgumentParser:
    """The model store."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--model-store",
        type=Path,
        metavar="DIR",
        default=Path(env.get("CAMSERVE_MODEL_STORE") or Path(model_store.__file__).parent),
        help="folder with a folder for each model (CAMSERVE_MODEL_STORE; default: %(default)s)",
    )
    return parent


def named_arguments(env: Environment) -> argparse.ArgumentParser:
    """Models of the store, for commands that do something to them."""
    parent = argparse.ArgumentParser(add_help=False, parents=[store_arguments(env)])
    parent.add_argument("names", nargs="*", metavar="NAME", help="models (default: all of the store)")
    return parent


def served_arguments(env: Environment) -> argparse.ArgumentParser:
    """Models of the store, for commands that serve them, and what these log."""
    parent = argparse.ArgumentParser(add_help=False, parents=[store_arguments(env)])
    parent.add_argument(
        "--models",
        type=_names,
        metavar="NAME,...",
        default=_names(env.get("CAMSERVE_MODELS", "")),
        help="models to serve (CAMSERVE_MODELS; default: all of the store whose weights are not random)",
    )
    parent.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default=env.get("CAMSERVE_LOG_FORMAT") or "text",
        help="lines for people, or JSON for programs (CAMSERVE_LOG_FORMAT; default: text)",
    )
    return parent


def gateway_arguments() -> argparse.ArgumentParser:
    """How the gateway listens, and to whom."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument("--host", help="address to listen on (CAMSERVE_HOST; default: 127.0.0.1)")
    parent.add_argument("--port", type=int, help="gRPC port, 0 for a free one (CAMSERVE_PORT; default: 50051)")
    parent.add_argument(
        "--metrics-port", type=int, help="port of /metrics, 0 for a free one (CAMSERVE_METRICS_PORT; default: 9464)"
    )
    parent.add_argument("--tls-certificate", metavar="FILE", help="PEM certificate chain (CAMSERVE_TLS_CERTIFICATE)")
    parent.add_argument("--tls-key", metavar="FILE", help="its PEM private key (CAMSERVE_TLS_KEY)")
    parent.add_argument(
        "--tls-client-ca",
        metavar="FILE",
        help="PEM roots of certificates that callers must have (CAMSERVE_TLS_CLIENT_CA)",
    )
    parent.add_argument(
        "--callers-file", metavar="FILE", help="YAML of callers' tokens and limits (CAMSERVE_CALLERS_FILE)"
    )
    return parent


def gateway_settings(options: argparse.Namespace) -> GatewaySettings:
    """The settings of `gateway_arguments` and of the environment.

    Raises:
        SettingError: one of them cannot be.
    """
    given: dict[str, Any] = {setting.name: getattr(options, setting.name, None) for setting in fields(GatewaySettings)}
    return GatewaySettings.from_env(**given)


def ready_line(settings: GatewaySettings) -> Callable[[BoundPorts, list[ModelRef]], None]:
    """What prints, once the gateway can answer, where it listens and what it serves."""

    def ready(ports: BoundPorts, models: list[ModelRef]) -> None:
        names = ",".join(sorted({model.name for model in models}))
        grpc, metrics = f"{settings.host}:{ports.grpc}", f"{settings.host}:{ports.metrics}"
        beside = f", torchserve-metrics {LOOPBACK}:{ports.torchserve_metrics}" if ports.torchserve_metrics else ""
        print(f"camserve ready: grpc {grpc}, metrics {metrics}, models {names}{beside}", flush=True)

    return ready


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
