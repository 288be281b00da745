"""``camserve-server torchserve``: TorchServe alone."""

import argparse
import asyncio

from gateway.commands.command import Commands, Environment, served_arguments
from gateway.launcher.apart import launch_torchserve
from gateway.launcher.ports import LOOPBACK, TorchServePorts
from gateway.logs import configure_logs

_PORTS = {"inference": 7070, "management": 7071, "metrics": 8082}


def add(commands: Commands, env: Environment) -> None:
    """Declares the command."""
    text = "run TorchServe alone, for a gateway elsewhere"
    torchserve = commands.add_parser("torchserve", parents=[served_arguments(env)], help=text)
    torchserve.add_argument(
        "--host", default=LOOPBACK, help="address to listen on, of a private network at most (default: %(default)s)"
    )
    torchserve.add_argument("--metrics-host", help="address of its metrics (default: that of --host)")
    for name, port in _PORTS.items():
        torchserve.add_argument(
            f"--{name}-port", type=int, default=port, help="0 for a free one (default: %(default)s)"
        )
    torchserve.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs it until told to stop."""
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
