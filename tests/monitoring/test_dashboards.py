import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.dashboards.__main__ import DASHBOARDS, files
from monitoring.prometheus_process import FOLDER
from tests.monitoring.rules import ALERTS


def test_the_dashboards_are_those_of_the_code() -> None:
    for file, text in files().items():
        assert file.read_text() == text, "run: python -m monitoring.dashboards"


def test_ids_of_panels_are_unique() -> None:
    for board in DASHBOARDS:
        assert len({panel.id for panel in board.panels}) == len(board.panels)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_leads_to_a_panel_and_a_chapter(rule: dict[str, Any]) -> None:
    annotations = rule["annotations"]
    found = re.fullmatch(r"\{\{ \$externalLabels\.grafana \}\}/d/(\S+)\?viewPanel=(\d+)", annotations["dashboard"])
    assert found is not None
    (board,) = [board for board in DASHBOARDS if board.uid == found[1]]
    (panel,) = [panel for panel in board.panels if panel.id == int(found[2])]
    metrics = re.compile(r"\b(?:camserve|process|up)[\w:]*")
    shown = {name for query in panel.queries for name in metrics.findall(query.expr)}
    # The same figure, whatever it is averaged over.
    kinds = {re.sub(r"(_rate|_|:p)?\d+\w?$", "", name) for name in metrics.findall(rule["expr"])}
    assert any(name.startswith(kind) for name in shown for kind in kinds), (shown, kinds)
    chapter, _, anchor = annotations["runbook"].partition("#")
    root = Path(__file__).parents[2]
    headings = re.findall(r"^#+ (.+)$", (root / chapter).read_text(), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]
    assert anchor == rule["alert"].lower()


def test_grafana_finds_the_dashboards_and_prometheus() -> None:
    folder = FOLDER.parent / "grafana"
    (source,) = yaml.safe_load((folder / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((folder / "provisioning/dashboards/camserve.yml").read_text())["providers"]
    compose = yaml.safe_load((folder.parents[1] / "docker-compose.yml").read_text())
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"] if ":" in volume]
    assert provider["options"]["path"] in mounted
    for file in (folder / "dashboards").glob("*.json"):
        board = json.loads(file.read_text())
        assert board["uid"] == file.stem
