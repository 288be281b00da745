"""The client stands alone: nothing of the server, and no deep-learning framework, comes with it."""

import importlib.metadata
import importlib.resources
import re
import subprocess
import sys


def test_importing_the_client_imports_nothing_heavy() -> None:
    code = "import camserve.cli, sys; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in output.split()}
    assert "camserve" in loaded
    assert not loaded & {
        "torch",
        "torchvision",
        "scipy",
        "matplotlib",
        "gateway",
        "handlers",
        "saliency",
        "model_store",
    }


def test_the_distribution_needs_little() -> None:
    lines = [line for line in importlib.metadata.requires("camserve") or [] if "extra ==" not in line]
    names = {re.split(r"[^\w-]", line)[0] for line in lines}
    assert names == {"grpcio", "grpcio-status", "googleapis-common-protos", "protobuf", "numpy", "pillow", "shtab"}


def test_types_are_published() -> None:
    assert importlib.resources.files("camserve").joinpath("py.typed").is_file()
    assert importlib.resources.files("camserve.v1").joinpath("explanation_pb2.pyi").is_file()
