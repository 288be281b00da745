"""What a dashboard is made of, and its form in Grafana's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["timeseries", "stat", "heatmap", "table"]

SOURCE = {"type": "prometheus", "uid": "${source}"}
MODEL = 'model=~"$model"'
METHOD = f'{MODEL},method=~"$method"'
"""Selectors of what is chosen at the top of a dashboard."""

SERVICE = 'grpc_service="camserve.v1.ExplanationService"'

_COLUMNS = 24
_HEIGHTS: dict[Kind, int] = {"timeseries": 8, "stat": 4, "heatmap": 8, "table": 6}
_SCHEMA = 39
"""Version of Grafana's form; Grafana 10.4 and later read it."""


@dataclass(frozen=True)
class Query:
    """A question to Prometheus.

    Attributes:
        expr: in PromQL, with Grafana's variables.
        legend: names each series of the answer by its labels.
    """

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A picture of the answers to some questions.

    Attributes:
        id: by which alerts link to it; unique in its dashboard, never used again for another.
        title: what it shows.
        queries: what it asks.
        unit: Grafana's name of the unit.
        text: what to make of it.
        kind: how it is drawn.
        width: of the dashboard's 24 columns.
        stacked: whether the series are laid on top of each other.
        limit: a value that should not be passed.
        top: largest value of the axis; None: by what there is.
    """

    id: int
    title: str
    queries: Sequence[Query]
    unit: str = "short"
    text: str = ""
    kind: Kind = "timeseries"
    width: int = 8
    stacked: bool = False
    limit: float | None = None
    top: float | None = None

    def to_json(self, x: int, y: int) -> dict[str, Any]:
        """The panel at a place of the grid."""
        return {
            "id": self.id,
            "title": self.title,
            "description": self.text,
            "type": self.kind,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": _HEIGHTS[self.kind]},
            "targets": [self._target(number, query) for number, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._field(), "overrides": []},
            "options": self._options(),
        }

    def _target(self, number: int, query: Query) -> dict[str, Any]:
        return {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            "exemplar": self.kind != "stat" and "_bucket" in query.expr,
            "format": "heatmap" if self.kind == "heatmap" else "table" if self.kind == "table" else "time_series",
            "instant": self.kind in ("stat", "table"),
            "range": self.kind not in ("stat", "table"),
        }

    def _field(self) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        if self.limit is not None:
            steps.append({"color": "red", "value": self.limit})
        field: dict[str, Any] = {
            "unit": self.unit,
            "min": 0,
            "thresholds": {"mode": "absolute", "steps": steps},
        }
        if self.top is not None:
            field["max"] = self.top
        if self.kind == "timeseries":
            field["custom"] = {
                "fillOpacity": 30 if self.stacked else 8,
                "lineWidth": 1,
                "showPoints": "never",
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "off" if self.limit is None else "dashed"},
            }
        return field

    def _options(self) -> dict[str, Any]:
        match self.kind:
            case "stat":
                return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"}
            case "heatmap":
                return {
                    "calculate": False,
                    "color": {"scheme": "Turbo", "mode": "scheme"},
                    "yAxis": {"unit": self.unit},
                }
            case "table":
                return {"showHeader": True}
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }


@dataclass(frozen=True)
class Dashboard:
    """A page of panels.

    Attributes:
        uid: its name in addresses.
        title: its name for people.
        panels: in reading order; each begins a line if it does not fit into the last one.
    """

    uid: str
    title: str
    panels: Sequence[Panel]

    def to_json(self) -> dict[str, Any]:
        """The dashboard as Grafana is given it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "tags": ["camserve"],
            "schemaVersion": _SCHEMA,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "15s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": [_SOURCE_VARIABLE, _variable("model"), _variable("method")]},
            "annotations": {"list": [_ALERTS]},
            "links": [
                {
                    "title": "camserve",
                    "type": "dashboards",
                    "tags": ["camserve"],
                    "asDropdown": True,
                    "includeVars": True,
                }
            ],
            "panels": self._placed(),
        }

    def _placed(self) -> list[dict[str, Any]]:
        placed: list[dict[str, Any]] = []
        x = y = height = 0
        for panel in self.panels:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            placed.append(panel.to_json(x, y))
            x, height = x + panel.width, max(height, _HEIGHTS[panel.kind])
        return placed


_SOURCE_VARIABLE = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}

_ALERTS = {
    "name": "Alerts",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing",alertname=~"Camserve.*"}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{model}} {{method}}",
}


def _variable(label: str) -> dict[str, Any]:
    return {
        "name": label,
        "label": label.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": f"label_values(camserve_stage_seconds_count, {label})",
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
