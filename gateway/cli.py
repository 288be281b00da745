"""The ``camserve-server`` command."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import model_store
from gateway.launcher.java import JavaNotFoundError, find_java
from gateway.launcher.launch import launch
from gateway.launcher.process import TorchServeError
from gateway.launcher.selection import select_models
from gateway.server import BoundPorts
from gateway.settings import GatewaySettings, SettingError
from gateway.upstream import ModelRef
from model_store.archive import build_archive, is_current
from model_store.recipe import RecipeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 1 for a failure; wrong usage exits with 2."""
    options = parser(os.environ).parse_args(arguments)
    try:
        return int(options.run(options))
    except (SettingError, RecipeError, JavaNotFoundError, TorchServeError, OSError) as error:
        print(f"camserve-server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # a second Ctrl-C, from somebody who does not want to wait
        return 130


def parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    """The command's arguments; the environment has their defaults."""
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

    up = commands.add_parser("up", parents=[store], help="run TorchServe and the gateway until told to stop")
    up.add_argument(
        "--models",
        type=_names,
        metavar="NAME,...",
        default=_names(env.get("CAMSERVE_MODELS", "")),
        help="models to serve (CAMSERVE_MODELS; default: all of the store whose weights are not random)",
    )
    up.add_argument("--host", help="address to listen on (CAMSERVE_HOST; default: 127.0.0.1)")
    up.add_argument("--port", type=int, help="gRPC port, 0 for a free one (CAMSERVE_PORT; default: 50051)")
    up.add_argument(
        "--metrics-port", type=int, help="port of /metrics, 0 for a free one (CAMSERVE_METRICS_PORT; default: 9464)"
    )
    up.set_defaults(run=_up)
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
    settings = GatewaySettings.from_env(host=options.host, port=options.port, metrics_port=options.metrics_port)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    def ready(ports: BoundPorts, models: list[ModelRef]) -> None:
        names = ",".join(sorted({model.name for model in models}))
        grpc, metrics = f"{settings.host}:{ports.grpc}", f"{settings.host}:{ports.metrics}"
        print(f"camserve ready: grpc {grpc}, metrics {metrics}, models {names}", flush=True)

    asyncio.run(launch(settings, options.model_store, options.models, ready))
    return 0


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
