"""The files and the command line that TorchServe starts from."""

import json
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from gateway.launcher.ports import LOOPBACK, TorchServePorts

_MAX_MESSAGE_BYTES = 32 * 2**20

# Quiet, and one line a record: level, thread and message, parted by tabs. Beside warnings it lets through what workers
# print and the one line that tells of the end of a worker's output, which is the surest sign that it died.
_LOG4J2 = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR" shutdownHook="disable">
  <Appenders>
    <Console name="console" target="SYSTEM_OUT">
      <PatternLayout pattern="%p&#9;%t&#9;%m %ex{short.message}%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Logger name="MODEL_LOG" level="info"/>
    <Logger name="org.pytorch.serve.wlm.WorkerLifeCycle" level="info">
      <Filters>
        <ThresholdFilter level="warn" onMatch="ACCEPT" onMismatch="NEUTRAL"/>
        <RegexFilter regex="Stopped Scanner.*" useRawMsg="true" onMatch="ACCEPT" onMismatch="DENY"/>
      </Filters>
    </Logger>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Root level="warn">
      <AppenderRef ref="console"/>
    </Root>
  </Loggers>
</Configuration>
"""


def write_config(run_dir: Path, archives: Sequence[Path], ports: TorchServePorts) -> None:
    """Writes ``config.properties`` and ``log4j2.xml``.

    Args:
        run_dir: where they go.
        archives: what to load, all of one folder.
        ports: what to listen on.
    """
    (store,) = {archive.parent.resolve() for archive in archives}
    rest = f"http://{LOOPBACK}:{ports.rest}"
    properties = {
        "inference_address": rest,
        "management_address": rest,
        "grpc_inference_address": ports.host,
        "grpc_inference_port": ports.inference,
        "grpc_management_address": ports.host,
        "grpc_management_port": ports.management,
        "model_store": store,
        "load_models": ",".join(archive.name for archive in archives),
        "allowed_urls": f"file://{re.escape(str(store))}/.*",
        "enable_model_api": "false",
        "disable_token_authorization": "true",  # nobody but the gateway gets here, and its tokens expire after an hour
        "install_py_dep_per_model": "false",
        "max_request_size": _MAX_MESSAGE_BYTES,
        "max_response_size": _MAX_MESSAGE_BYTES,
        "number_of_netty_threads": 2,
        "netty_client_threads": 2,
        # The gateway has the metrics; these are beside them, for whoever knows TorchServe by its own.
        "enable_metrics_api": str(ports.metrics is not None).lower(),
        "metrics_mode": "prometheus",
        "disable_system_metrics": "true",
        "async_logging": "true",
    }
    if ports.metrics is not None:
        properties["metrics_address"] = f"http://{ports.metrics_host}:{ports.metrics}"
    # Within its quotes a string in JSON is a value of Java properties too: ASCII, with \\ and \uXXXX.
    lines = (f"{key}={json.dumps(str(value))[1:-1]}\n" for key, value in properties.items())
    (run_dir / "config.properties").write_text("".join(lines), encoding="ascii")
    (run_dir / "log4j2.xml").write_text(_LOG4J2, encoding="utf-8")


def command_line(java: Path, run_dir: Path, workers: int) -> list[str]:
    """The command that runs TorchServe on the files of ``write_config``.

    Java is run directly: the ``torchserve`` command puts a process between that passes no signals on.
    """
    package = find_spec("ts")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("TorchServe is not installed; run: pip install torchserve")
    home = Path(package.origin).parents[1]
    return [
        str(java),
        f"-Xmx{512 + 128 * workers}m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={run_dir}",
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile={(run_dir / 'log4j2.xml').as_uri()}",
        *("-cp", str(home / "ts" / "frontend" / "*")),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(run_dir / "config.properties")),
        "-ncs",
    ]
