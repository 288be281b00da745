"""The real service watched by a real Prometheus: every question of the dashboards and the rules has an answer."""

import math
import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from camserve import ExplanationClient
from camserve.v1 import explanation_pb2 as pb
from camserve.v1.explanation_pb2_grpc import ExplanationServiceStub
from gateway.launcher.server import run_server
from monitoring.dashboards.__main__ import DASHBOARDS
from monitoring.prometheus_process import Prometheus, run_prometheus
from monitoring.traffic import pictures, round_of_requests
from tests.monitoring.rules import RULES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("prometheus"), reason="needs Prometheus: apt install prometheus"),
]

TRACE = "1234567890abcdef" * 2
QUERIES = {
    f"{board.uid}/{panel.id}{chr(ord('A') + number)}": query.expr
    for board in DASHBOARDS
    for panel in board.panels
    for number, query in enumerate(panel.queries)
}


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    """Prometheus, after some traffic that it saw."""
    with run_server("--models", "scenes-classifier", "--torchserve-metrics-port", "0") as server:
        targets = {"camserve": server.metrics_address, "torchserve": server.torchserve_metrics_address}
        with run_prometheus(targets, interval="1s") as running, ExplanationClient(server.address) as client:
            for image in pictures()[:2]:
                another_scrape(running, len(targets))  # before, between and after, so that there is a rate
                round_of_requests(client, [image])
                traced(server.address, image)
            another_scrape(running, len(targets))
            yield running


def another_scrape(prometheus: Prometheus, targets: int) -> None:
    """Waits until each target has been scraped once more. The first time comes some seconds after the start."""

    def samples() -> dict[str, float]:
        series = prometheus.query("count_over_time(up[10m])")
        return {one["metric"]["job"]: float(one["value"][1]) for one in series}

    before, deadline = samples(), time.monotonic() + 60
    while time.monotonic() < deadline:
        now = samples()
        # One that is under way may have read before; the next has not.
        if len(now) == targets and all(count >= before.get(job, 0) + 2 for job, count in now.items()):
            return
        time.sleep(0.2)
    raise TimeoutError("Prometheus does not scrape")


def traced(address: str, image: bytes) -> None:
    """A call that its caller traces."""
    with grpc.insecure_channel(address) as channel:
        request = pb.ExplainRequest(model="scenes-classifier", image=image)
        header = ("traceparent", f"00-{TRACE}-{'1' * 16}-01")
        ExplanationServiceStub(channel).Explain(request, metadata=(header,), timeout=60)


def answered(prometheus: Prometheus, expr: str) -> list[dict[str, Any]]:
    """The answer to a question, which may take a few scrapes and evaluations."""
    deadline = time.monotonic() + 20
    while True:
        found = [series for series in prometheus.query(expr) if not math.isnan(float(series["value"][1]))]
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def filled(expr: str) -> str:
    """A panel's question with Grafana's variables filled in, all models and methods being chosen."""
    filled = expr.replace("$__rate_interval", "1m").replace("$model", ".*").replace("$method", ".*")
    assert "$" not in filled
    return filled


@pytest.mark.parametrize("place", QUERIES)
def test_every_panel_has_something_to_show(prometheus: Prometheus, place: str) -> None:
    assert answered(prometheus, filled(QUERIES[place])), QUERIES[place]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("record") or rule["alert"])
def test_every_rule_has_something_to_judge(prometheus: Prometheus, rule: dict[str, str]) -> None:
    # With bool a comparison says 0 or 1 instead of nothing at all, so that what it compares must be there.
    expr = re.sub(r"(==|>=|<=|>|<)(?= )", r"\1 bool", rule["expr"])
    assert answered(prometheus, expr), expr


def test_what_is_recorded_is_there(prometheus: Prometheus) -> None:
    for rule in RULES:
        assert "alert" in rule or answered(prometheus, rule["record"]), rule


def test_prometheus_finds_no_fault_in_the_rules(prometheus: Prometheus) -> None:
    groups = prometheus.api("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert [rule.get("lastError") for rule in rules if rule.get("lastError")] == []


def test_both_are_scraped(prometheus: Prometheus) -> None:
    found = {target["labels"]["job"]: target["health"] for target in prometheus.api("targets")["activeTargets"]}
    assert found == {"camserve": "up", "torchserve": "up"}


def test_samples_lead_to_traces(prometheus: Prometheus) -> None:
    now = time.time()
    for metric in ("grpc_server_handling_seconds_bucket", "camserve_stage_seconds_bucket"):
        found = prometheus.api("query_exemplars", query=metric, start=str(now - 300), end=str(now))
        traces = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
        assert traces == {TRACE}
