"""``camserve-server gateway``: the gateway alone."""

import argparse
import asyncio
from pathlib import Path

from gateway.commands.command import (
    Commands,
    Environment,
    gateway_arguments,
    gateway_settings,
    ready_line,
    served_arguments,
)
from gateway.launcher.apart import launch_gateway
from gateway.logs import configure_logs
from gateway.upstream import TorchServeAddresses


def add(commands: Commands, env: Environment) -> None:
    """Declares the command."""
    parents = [served_arguments(env), gateway_arguments()]
    text = "run the gateway alone, before a TorchServe elsewhere; without torch"
    gateway = commands.add_parser("gateway", parents=parents, help=text)
    addresses = TorchServeAddresses()
    for name in ("inference", "management"):
        variable = f"CAMSERVE_TORCHSERVE_{name.upper()}"
        gateway.add_argument(
            f"--torchserve-{name}",
            metavar="HOST:PORT",
            default=env.get(variable) or getattr(addresses, name),
            help=f"TorchServe's {name} API over gRPC ({variable}; default: %(default)s)",
        )
    gateway.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        default=env.get("CAMSERVE_SCRATCH") or None,
        help="folder that TorchServe's workers reach by the same path; there they learn of callers that have gone "
        "(CAMSERVE_SCRATCH; default: they do not)",
    )
    gateway.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs it until told to stop."""
    configure_logs(options.log_format)
    settings = gateway_settings(options)
    asyncio.run(
        launch_gateway(
            settings,
            options.model_store,
            options.models,
            ready_line(settings),
            torchserve=TorchServeAddresses(options.torchserve_inference, options.torchserve_management),
            scratch=options.scratch,
        )
    )
    return 0
