"""The pinned versions are above those with vulnerabilities that matter here."""

from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FLOORS = {
    "grpcio": "1.66",  # CVE-2024-7246 and those before it: HPACK and connections
    "protobuf": "6.31.1",  # CVE-2025-4565: recursion in the pure Python parser
    "torch": "2.10",  # CVE-2025-32434, CVE-2026-24747: torch.load(weights_only=True)
    "torchserve": "0.11",  # CVE-2024-35198, CVE-2024-35199: allowed_urls, addresses of the gRPC ports
    "pillow": "10.0.1",  # CVE-2023-4863: the decoder of WebP
    "PyYAML": "5.4",  # CVE-2020-14343
}


@pytest.mark.parametrize("package", FLOORS)
def test_a_pin_is_above_the_floor(package: str) -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert Version(pins[package]) >= Version(FLOORS[package])
