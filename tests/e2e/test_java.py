"""The example in Java, compiled against stubs of the proto and run."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from PIL import Image

from gateway.launcher.server import Server
from tests.machine import ROOT

PLUGIN = shutil.which("grpc_java_plugin")
JARS = Path("/usr/share/java")
TOOLS = all(map(shutil.which, ("protoc", "javac", "java"))) and PLUGIN and (JARS / "perfmark-api.jar").is_file()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not TOOLS,
        reason="there is no Java for gRPC; on Debian: apt install default-jdk-headless protobuf-compiler "
        "protobuf-compiler-grpc-java-plugin libprotobuf-java libgrpc-java libperfmark-java",
    ),
]


def test_the_example_in_java_writes_the_overlay(scenes: Server, photo: Path, tmp_path: Path) -> None:
    protoc = ["protoc", f"-I{ROOT / 'protos'}", f"-I{sysconfig.get_path('purelib')}", "-I/usr/include"]
    protos = ["camserve/v1/explanation.proto", "google/rpc/status.proto"]
    outputs = [f"--plugin=protoc-gen-grpc-java={PLUGIN}", f"--java_out={tmp_path}", f"--grpc-java_out={tmp_path}"]
    subprocess.run([*protoc, *outputs, *protos], check=True)
    stubs = map(str, tmp_path.rglob("*.java"))
    source = str(ROOT / "examples/java/Explain.java")
    subprocess.run(["javac", "-nowarn", "-d", tmp_path, "-cp", f"{JARS}/*", *stubs, source], check=True)
    overlay = tmp_path / "overlay.png"
    run = ["java", "-cp", f"{tmp_path}:{JARS}/*", "Explain", scenes.address, str(photo), "circle", str(overlay)]
    told = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert told.split()[0] in ("circle", "star")
    assert Image.open(overlay).size == Image.open(photo).size
