"""``camserve-server up``: the whole service on one machine."""

import argparse
import asyncio

from gateway.commands.command import (
    Commands,
    Environment,
    gateway_arguments,
    gateway_settings,
    ready_line,
    served_arguments,
)
from gateway.launcher.launch import launch
from gateway.logs import configure_logs


def add(commands: Commands, env: Environment) -> None:
    """Declares the command."""
    parents = [served_arguments(env), gateway_arguments()]
    up = commands.add_parser("up", parents=parents, help="run TorchServe and the gateway until told to stop")
    up.add_argument(
        "--torchserve-metrics-port",
        type=int,
        metavar="PORT",
        default=env.get("CAMSERVE_TORCHSERVE_METRICS_PORT"),
        help="port of TorchServe's own /metrics, on loopback (CAMSERVE_TORCHSERVE_METRICS_PORT; default: it has none)",
    )
    up.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until told to stop."""
    configure_logs(options.log_format)
    settings = gateway_settings(options)
    asyncio.run(
        launch(settings, options.model_store, options.models, ready_line(settings), options.torchserve_metrics_port)
    )
    return 0
