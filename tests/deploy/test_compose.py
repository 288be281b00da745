import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli import parser
from gateway.settings import GatewaySettings, variable

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
GPU: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "docker-compose.gpu.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_only_the_gateway_and_grafana_can_be_reached() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"gateway", "grafana"}
    assert COMPOSE["networks"]["inside"]["internal"] is True
    outside = {name for name, service in SERVICES.items() if "outside" in service["networks"]}
    assert outside == {"gateway", "grafana"}
    assert all("inside" in service["networks"] for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_hardened_bounded_and_checked(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    for volume in SERVICES[name]["volumes"]:
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_what_is_built_is_in_the_dockerfile() -> None:
    stages = (ROOT / "deploy" / "Dockerfile").read_text()
    for name in ("torchserve", "gateway"):
        build = SERVICES[name]["build"]
        assert (ROOT / build["context"] / build["dockerfile"]).is_file()
        assert f" AS {build['target']}\n" in stages


def test_the_settings_are_settings() -> None:
    options = {action.dest for command in ("gateway", "torchserve") for action in subparser(command)._actions}
    known = {variable(name) for name in (*GatewaySettings.__dataclass_fields__, *options)}
    given = [service.get("environment", {}) for service in (*SERVICES.values(), *GPU["services"].values())]
    names = {name for environment in given for name in environment if name.startswith("CAMSERVE_")}
    assert names
    assert names <= known


def test_ports_are_those_that_are_listened_on() -> None:
    settings, torchserve = GatewaySettings(), subparser("torchserve").parse_args([])
    assert SERVICES["gateway"]["ports"][0].endswith(f":{settings.port}")
    environment = SERVICES["gateway"]["environment"]
    assert environment["CAMSERVE_TORCHSERVE_INFERENCE"] == f"torchserve:{torchserve.inference_port}"
    assert environment["CAMSERVE_TORCHSERVE_MANAGEMENT"] == f"torchserve:{torchserve.management_port}"
    scraped = {
        job["job_name"]: (found["names"], found["port"])
        for job in yaml.safe_load((ROOT / "monitoring/prometheus/prometheus.yml").read_text())["scrape_configs"]
        for found in job.get("dns_sd_configs", [])
    }
    assert scraped == {
        "camserve": (["gateway"], settings.metrics_port),
        "torchserve": (["torchserve"], torchserve.metrics_port),
    }


def test_calls_have_time_to_end() -> None:
    def seconds(service: str) -> float:
        return float(SERVICES[service]["stop_grace_period"].removesuffix("s"))

    assert seconds("gateway") > GatewaySettings().drain_timeout
    assert "torchserve" in SERVICES["gateway"]["depends_on"]  # so that it is stopped after the gateway


def test_grafana_is_given_the_dashboards_it_looks_for() -> None:
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    (source,) = [source for source, target in mounted.items() if home.startswith(f"{target}/")]
    assert json.loads((ROOT / source / Path(home).name).read_text())["uid"] == "camserve-overview"


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="needs docker-compose: apt install docker-compose")
@pytest.mark.parametrize("files", [("docker-compose.yml",), ("docker-compose.yml", "deploy/docker-compose.gpu.yml")])
def test_compose_accepts_it(files: tuple[str, ...]) -> None:
    arguments = [argument for file in files for argument in ("-f", file)]
    done = subprocess.run(
        ["docker-compose", *arguments, "config", "--quiet"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def subparser(command: str) -> Any:
    """The parser of one command of camserve-server."""
    (commands,) = [action.choices for action in parser({})._actions if action.choices]
    assert isinstance(commands, dict)
    return commands[command]
