"""``camserve doctor``: is all there that an explanation needs?"""

import argparse
import io
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Literal

from PIL import Image

from camserve.client import ExplanationClient
from camserve.commands.command import Commands, add_command
from camserve.errors import CamserveError
from camserve.models import Model

_EXAMPLES = """\
examples:
  camserve doctor
  camserve doctor --server gpu-host:50051 --json

exit status: 0 if nothing failed, warnings or not; 1 if something did.
"""

_LIBRARIES = ("grpcio", "protobuf", "numpy", "pillow")


@dataclass(frozen=True)
class Finding:
    """What one check found: whether it is well, and what it saw or what to do."""

    state: Literal["ok", "warning", "failed"]
    check: str
    text: str


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Declares the command."""
    add_command(
        commands, "doctor", run, parents=[common], text="check client, server, versions and models", examples=_EXAMPLES
    )


def run(client: ExplanationClient, arguments: argparse.Namespace) -> int:
    """Prints what each check found, as it finds it."""
    findings = []
    for finding in _findings(client, arguments.server):
        findings.append(finding)
        if not arguments.json:
            print(f"{finding.state:<8} {finding.check}: {finding.text}", flush=True)
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.state == "failed" for finding in findings))


def _findings(client: ExplanationClient, address: str) -> Iterator[Finding]:
    own = version("camserve")
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    yield Finding("ok", "client", f"camserve {own} on Python {platform.python_version()} with {libraries}")
    try:
        client.models()  # connects, which is not what the next one measures
        start = time.perf_counter()
        models = client.models()
    except CamserveError as error:
        yield Finding("failed", "server", f"{error.message}. Start one with `camserve-server up`, or give --server.")
        return
    milliseconds = 1000 * (time.perf_counter() - start)
    yield Finding("ok", "server", f"{address} answers in {milliseconds:.0f} ms")
    yield _version(client.server_version(), own)
    if not models:
        yield Finding("failed", "models", "the server has none; name some with `camserve-server up --models NAME,...`")
    for model in models:
        yield _model(model)
    trial = next((model for model in models if model.ready and model.task != "answer"), None)
    if trial is not None:
        yield _trial(client, trial)


def _version(server: str, client: str) -> Finding:
    if not server:
        return Finding("warning", "version", f"the server does not tell its version, so it is older than {client}")
    if server != client:
        text = f"the server is {server}, the client {client}; install the client that came with the server"
        return Finding("warning", "version", text)
    return Finding("ok", "version", f"server and client are {server}")


def _model(model: Model) -> Finding:
    name = f"model {model.name} {model.version}"
    if not model.ready:
        return Finding("failed", name, "not ready; it may still be loading, and the server's log says if it failed")
    if model.weights == "random":
        return Finding("warning", name, "ready, with random weights: neither predictions nor maps mean anything")
    return Finding("ok", name, f"ready, {model.task}, {len(model.methods)} methods, {model.default_method} by default")


def _trial(client: ExplanationClient, model: Model) -> Finding:
    """Explains a gray picture."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(file, "PNG")
    start = time.perf_counter()
    try:
        result = client.explain(file.getvalue(), model=model.name, version=model.version)
    except CamserveError as error:
        return Finding("failed", "trial", f"{model.name} does not explain a gray picture: {error.message}")
    milliseconds = 1000 * (time.perf_counter() - start)
    return Finding(
        "ok", "trial", f"{model.name} explained a gray picture in {milliseconds:.0f} ms ({result.explanation.method})"
    )
