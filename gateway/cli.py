"""The ``camserve-server`` command."""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import model_store
from camserve.tracing import TracingError
from gateway.health import check_health
from gateway.launcher.java import JavaNotFoundError, find_java
from gateway.launcher.launch import launch, launch_gateway, launch_torchserve
from gateway.launcher.ports import LOOPBACK, TorchServePorts
from gateway.launcher.process import TorchServeError
from gateway.launcher.selection import select_models
from gateway.logs import LOG_FORMATS, configure_logs
from gateway.server import BoundPorts
from gateway.settings import GatewaySettings, SettingError
from gateway.upstream import ModelRef, TorchServeAddresses
from model_store.archive import build_archive, is_current
from model_store.recipe import RecipeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 1 for a failure; wrong usage exits with 2."""
    options = _parser(os.environ).parse_args(arguments)
    try:
        return int(options.run(options))
    except (SettingError, RecipeError, JavaNotFoundError, TorchServeError, TracingError, OSError) as error:
        print(f"camserve-server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # a second Ctrl-C, from somebody who does not want to wait
        return 130


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="camserve-server", description="Serves explanations of vision models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    store = argparse.ArgumentParser(add_help=False)
    store.add_argument(
        "--model-store",
        type=Path,
        metavar="DIR",
        default=Path(env.get("CAMSERVE_MODEL_STORE") or Path(model_store.__file__).parent),
        help="folder with a folder for each model (CAMSERVE_MODEL_STORE; default: %(default)s)",
    )
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("names", nargs="*", metavar="NAME", help="models (default: all of the store)")

    served = argparse.ArgumentParser(add_help=False, parents=[store])
    served.add_argument(
        "--models",
        type=_names,
        metavar="NAME,...",
        default=_names(env.get("CAMSERVE_MODELS", "")),
        help="models to serve (CAMSERVE_MODELS; default: all of the store whose weights are not random)",
    )
    served.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default=env.get("CAMSERVE_LOG_FORMAT") or "text",
        help="lines for people, or JSON for programs (CAMSERVE_LOG_FORMAT; default: text)",
    )
    gateway = argparse.ArgumentParser(add_help=False)
    gateway.add_argument("--host", help="address to listen on (CAMSERVE_HOST; default: 127.0.0.1)")
    gateway.add_argument("--port", type=int, help="gRPC port, 0 for a free one (CAMSERVE_PORT; default: 50051)")
    gateway.add_argument(
        "--metrics-port", type=int, help="port of /metrics, 0 for a free one (CAMSERVE_METRICS_PORT; default: 9464)"
    )

    up = commands.add_parser("up", parents=[served, gateway], help="run TorchServe and the gateway until told to stop")
    up.add_argument(
        "--torchserve-metrics-port",
        type=int,
        metavar="PORT",
        default=env.get("CAMSERVE_TORCHSERVE_METRICS_PORT"),
        help="port of TorchServe's own /metrics, on loopback (CAMSERVE_TORCHSERVE_METRICS_PORT; default: it has none)",
    )
    up.set_defaults(run=_up)
    alone = commands.add_parser(
        "gateway", parents=[served, gateway], help="run the gateway alone, before a TorchServe elsewhere; without torch"
    )
    addresses = TorchServeAddresses()
    for name in ("inference", "management"):
        variable = f"CAMSERVE_TORCHSERVE_{name.upper()}"
        alone.add_argument(
            f"--torchserve-{name}",
            metavar="HOST:PORT",
            default=env.get(variable) or getattr(addresses, name),
            help=f"TorchServe's {name} API over gRPC ({variable}; default: %(default)s)",
        )
    alone.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        default=env.get("CAMSERVE_SCRATCH") or None,
        help="folder that TorchServe's workers reach by the same path; there they learn of callers that have gone "
        "(CAMSERVE_SCRATCH; default: they do not)",
    )
    alone.set_defaults(run=_gateway)
    torchserve = commands.add_parser(
        "torchserve", parents=[served], help="run TorchServe alone, for a gateway elsewhere"
    )
    torchserve.add_argument(
        "--host", default=LOOPBACK, help="address to listen on, of a private network at most (default: %(default)s)"
    )
    torchserve.add_argument("--metrics-host", help="address of its metrics (default: that of --host)")
    for name, port in (("inference", 7070), ("management", 7071), ("metrics", 8082)):
        torchserve.add_argument(f"--{name}-port", type=int, default=port, help="default: %(default)s")
    torchserve.set_defaults(run=_torchserve)
    health = commands.add_parser("health", help="ask a gateway whether it can answer; the exit status says so")
    health.add_argument("--server", metavar="HOST:PORT", default="localhost:50051", help="default: %(default)s")
    health.set_defaults(run=_health)
    build = commands.add_parser("build", parents=[store, named], help="pack models into archives for TorchServe")
    build.set_defaults(run=_build)
    check = commands.add_parser(
        "check", parents=[store, named], help="look for what would keep models from being served"
    )
    check.set_defaults(run=_check)
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _up(options: argparse.Namespace) -> int:
    configure_logs(options.log_format)
    settings = _settings(options)
    ports = TorchServePorts(metrics=options.torchserve_metrics_port)
    asyncio.run(launch(settings, options.model_store, options.models, partial(_gateway_ready, settings), ports))
    return 0


def _gateway(options: argparse.Namespace) -> int:
    configure_logs(options.log_format)
    settings = _settings(options)
    asyncio.run(
        launch_gateway(
            settings,
            options.model_store,
            options.models,
            partial(_gateway_ready, settings),
            torchserve=TorchServeAddresses(options.torchserve_inference, options.torchserve_management),
            scratch=options.scratch,
        )
    )
    return 0


def _torchserve(options: argparse.Namespace) -> int:
    configure_logs(options.log_format)
    wanted = TorchServePorts(
        inference=options.inference_port,
        management=options.management_port,
        metrics=options.metrics_port,
        host=options.host,
        metrics_host=options.metrics_host or options.host,
    )

    def ready(ports: TorchServePorts) -> None:
        grpc = f"inference {ports.host}:{ports.inference}, management {ports.host}:{ports.management}"
        print(f"torchserve ready: {grpc}, metrics {ports.metrics_host}:{ports.metrics}", flush=True)

    asyncio.run(launch_torchserve(options.model_store, options.models, ready, wanted))
    return 0


def _settings(options: argparse.Namespace) -> GatewaySettings:
    given: dict[str, Any] = {setting.name: getattr(options, setting.name, None) for setting in fields(GatewaySettings)}
    return GatewaySettings.from_env(**given)


def _gateway_ready(settings: GatewaySettings, ports: BoundPorts, models: list[ModelRef]) -> None:
    names = ",".join(sorted({model.name for model in models}))
    grpc, metrics = f"{settings.host}:{ports.grpc}", f"{settings.host}:{ports.metrics}"
    beside = f", torchserve-metrics {LOOPBACK}:{ports.torchserve_metrics}" if ports.torchserve_metrics else ""
    print(f"camserve ready: grpc {grpc}, metrics {metrics}, models {names}{beside}", flush=True)


def _health(options: argparse.Namespace) -> int:
    serving = check_health(options.server)
    print("serving" if serving else "not serving")
    return 0 if serving else 1


def _build(options: argparse.Namespace) -> int:
    for folder in select_models(options.model_store, options.names):
        print(build_archive(folder, options.model_store))
    return 0


def _check(options: argparse.Namespace) -> int:
    faults: list[Exception] = []
    try:
        print(f"java: {find_java()}")
    except JavaNotFoundError as error:
        faults.append(error)
    try:
        for folder, recipe in select_models(options.model_store, options.names).items():
            archive = "archive is current" if is_current(folder, options.model_store) else "archive is yet to be built"
            print(f"{recipe.name}:{recipe.version}: recipe is right, {archive}")
    except RecipeError as error:
        faults.append(error)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0
