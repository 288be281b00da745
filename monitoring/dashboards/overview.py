"""Is the service well?"""

from monitoring.dashboards.form import SERVICE, Dashboard, Panel, Query
from monitoring.dashboards.promql import rate

_HANDLED = "grpc_server_handled_total"

BUDGET = 0.005
"""Share of requests that may fail: what the alerts count against."""

OVERVIEW = Dashboard(
    "camserve-overview",
    "camserve: overview",
    [
        Panel(1, "Requests", [Query("sum(camserve:requests:rate5m)")], "reqps", kind="stat", width=4),
        Panel(
            2,
            "Failed, 1 h",
            [Query("max(camserve:failures:ratio_rate1h)")],
            "percentunit",
            kind="stat",
            width=4,
            limit=BUDGET,
        ),
        Panel(
            3,
            "Explain, 99%",
            [Query('max(camserve:handling_seconds:p99_5m{grpc_method="Explain"})')],
            "s",
            kind="stat",
            width=4,
            limit=10,
        ),
        Panel(4, "Waiting", [Query("sum(camserve_queue_depth)")], kind="stat", width=4),
        Panel(
            5,
            "Workers missing",
            [Query("sum(camserve_worker_wanted) - sum(camserve_worker_ready)")],
            kind="stat",
            width=4,
            limit=1,
        ),
        Panel(6, "Alerts", [Query('count(ALERTS{alertstate="firing"}) or vector(0)')], kind="stat", width=4, limit=1),
        Panel(7, "Calls", [Query(rate(_HANDLED, SERVICE, "grpc_method"), "{{grpc_method}}")], "reqps"),
        Panel(
            8,
            "Answers by status",
            [Query(f"{rate(_HANDLED, SERVICE, 'grpc_code')} > 0", "{{grpc_code}}")],
            "reqps",
            stacked=True,
        ),
        Panel(
            9,
            "Failed requests",
            [
                Query("max(camserve:failures:ratio_rate5m)", "5 min"),
                Query("max(camserve:failures:ratio_rate1h)", "1 h"),
                Query("max(camserve:failures:ratio_rate6h)", "6 h"),
            ],
            "percentunit",
            "What the server failed: faults, full queues, deadlines. The dashed line is the budget: 0.5%.",
            limit=BUDGET,
        ),
        Panel(
            10,
            "Latency of Explain",
            [
                Query(f'max(camserve:handling_seconds:p{quantile}_5m{{grpc_method="Explain"}})', f"{quantile}%")
                for quantile in (50, 95, 99)
            ],
            "s",
        ),
        Panel(
            11,
            "Refusals by reason",
            [Query(f"{rate('camserve_refusals_total', '', 'reason')} > 0", "{{reason}}")],
            "reqps",
            "Why requests ended in an error, the callers' own faults among them.",
            stacked=True,
        ),
        Panel(
            12,
            "Waiting and under way",
            [
                Query("sum by (model) (camserve_queue_depth)", "{{model}} waiting"),
                Query("sum by (model) (camserve_in_flight)", "{{model}} runs"),
            ],
        ),
        Panel(
            13,
            "Items of streams",
            [Query(f"{rate('camserve_stream_items_total', '', 'grpc_code')} > 0", "{{grpc_code}}")],
            "reqps",
            stacked=True,
        ),
        Panel(
            14,
            "Traffic",
            [
                Query(rate("camserve_received_bytes_total", ""), "in"),
                Query(rate("camserve_sent_bytes_total", ""), "out"),
            ],
            "Bps",
        ),
        Panel(15, "Replicas", [Query('sum by (job) (up{job=~"camserve|torchserve"})', "{{job}}")]),
    ],
)
