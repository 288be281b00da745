"""Compiles the protos.

python protos/generate.py stubs [ROOT]    Python stubs: camserve's into ROOT/client, torchserve's into ROOT/gateway
python protos/generate.py image FILE      one descriptor set with comments, which ``buf lint`` reads
"""

import argparse
import sys
import sysconfig
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
STUBS = (  # proto, room whose folder gets the stubs, whether it has a service of ours
    ("camserve/v1/explanation.proto", "client", True),
    ("camserve/worker/v1/worker.proto", "client", False),
    ("torchserve/inference.proto", "gateway", False),
    ("torchserve/management.proto", "gateway", False),
)


def stubs(root: Path) -> None:
    """Writes the Python stubs under a root folder."""
    for proto, room, services in STUBS:
        out = root / room
        out.mkdir(parents=True, exist_ok=True)
        arguments = [f"--python_out={out}", f"--mypy_out={out}"]
        if services:
            arguments += [f"--grpc_python_out={out}", f"--mypy_grpc_out={out}"]
        _protoc(*arguments, proto)


def image(file: Path) -> None:
    """Writes the descriptors of all protos, with what they import, to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    protos = (proto for proto, _, _ in STUBS)
    _protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={file}", *protos)


def _protoc(*arguments: str) -> None:
    includes = (PROTOS, sysconfig.get_path("purelib"), Path(grpc_tools.__file__).parent / "_proto")
    plugins = (f"--plugin={Path(sys.executable).parent / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc"))
    if protoc.main(["protoc", *(f"-I{folder}" for folder in includes), *plugins, *arguments]) != 0:
        sys.exit("protoc failed; its message is above")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("stubs").add_argument("path", type=Path, nargs="?", default=ROOT, metavar="ROOT")
    commands.add_parser("image").add_argument("path", type=Path, metavar="FILE")
    parsed = parser.parse_args()
    {"stubs": stubs, "image": image}[parsed.command](parsed.path)
