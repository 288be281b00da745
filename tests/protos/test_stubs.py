"""The committed stubs are those of the committed protos."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_stubs_match_the_protos(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "protos/generate.py", "stubs", tmp_path], check=True, capture_output=True)
    made = {file.relative_to(tmp_path): file.read_text() for file in tmp_path.rglob("*_pb2*")}
    assert made
    for name, text in made.items():
        assert (ROOT / name).read_text() == text, f"{name} is stale; run make proto"
    committed = {file.relative_to(ROOT) for room in ("client", "gateway") for file in (ROOT / room).rglob("*_pb2*.py*")}
    assert {name for name in committed if "__pycache__" not in name.parts} == set(made)
