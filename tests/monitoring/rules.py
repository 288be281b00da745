"""The rules of Prometheus, as they are written."""

from typing import Any

import yaml

from monitoring.prometheus_process import FOLDER

RULES: list[dict[str, Any]] = [
    rule
    for file in sorted((FOLDER / "rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
