"""Writes the dashboards as Grafana reads them into ``monitoring/grafana/dashboards/``."""

import json
from pathlib import Path

from monitoring.dashboards.latency import LATENCY
from monitoring.dashboards.maps import MAPS
from monitoring.dashboards.models import MODELS
from monitoring.dashboards.overview import OVERVIEW

DASHBOARDS = (OVERVIEW, LATENCY, MODELS, MAPS)
FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"


def files() -> dict[Path, str]:
    """What each file holds."""
    return {FOLDER / f"{board.uid}.json": json.dumps(board.to_json(), indent=2) + "\n" for board in DASHBOARDS}


if __name__ == "__main__":
    for file, text in files().items():
        file.write_text(text)
