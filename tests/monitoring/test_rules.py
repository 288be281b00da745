import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from monitoring.prometheus_process import FOLDER, local_config
from tests.monitoring.rules import ALERTS

needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool: apt install prometheus")
TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def promtool(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


@needs_promtool
def test_the_configuration_and_the_rules_are_right() -> None:
    done = promtool("check", "config", FOLDER / "prometheus.yml")
    assert done.returncode == 0, done.stderr
    assert "2 rule files found" in done.stdout


@needs_promtool
def test_alerts_fire_when_they_should() -> None:
    done = promtool("test", "rules", *TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("name", [rule["alert"] for rule in ALERTS])
def test_an_alert_that_never_fires_is_found_out(tmp_path: Path, name: str) -> None:
    rules = yaml.safe_load((FOLDER / "rules" / "alerts.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"] if rule["alert"] == name):
        rule["expr"] = f"({rule['expr']}) and on () vector(1) < 0"
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
    files = [file for file in TESTS if name in file.read_text()]
    for file in files:
        tests = yaml.safe_load(file.read_text())
        tests["rule_files"] = [str(FOLDER / "rules" / "recording.yml"), str(tmp_path / "alerts.yml")]
        (tmp_path / f"test-{file.name}").write_text(yaml.safe_dump(tests))
    done = promtool("test", "rules", *(tmp_path / f"test-{file.name}" for file in files))
    assert done.returncode != 0
    assert name in done.stdout + done.stderr


def test_on_this_machine_it_scrapes_what_it_is_told() -> None:
    config = local_config({"camserve": "127.0.0.1:1", "torchserve": "127.0.0.1:2"}, "3s")
    assert {job["job_name"]: job["static_configs"] for job in config["scrape_configs"]} == {
        "camserve": [{"targets": ["127.0.0.1:1"]}],
        "torchserve": [{"targets": ["127.0.0.1:2"]}],
    }
    assert config["global"]["scrape_interval"] == config["global"]["evaluation_interval"] == "3s"
    assert all(list(Path(pattern).parent.glob("*.yml")) for pattern in config["rule_files"])
