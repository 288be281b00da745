"""Where does the time go?"""

from monitoring.dashboards.form import METHOD, MODEL, SERVICE, Dashboard, Panel, Query
from monitoring.dashboards.promql import distribution, mean, quantile, rate

_STAGES = "camserve_stage_seconds"
_TOTAL = f'{METHOD},stage="total"'
_REQUESTS = rate(f"{_STAGES}_count", _TOTAL)


def _spent(stages: str, by: str = "") -> str:
    """Seconds that requests spend in some stages each second, of all requests together."""
    return rate(f"{_STAGES}_sum", f'{METHOD},stage=~"{stages}"', by)


LATENCY = Dashboard(
    "camserve-latency",
    "camserve: latency",
    [
        Panel(
            1,
            "Explain, all calls",
            [Query(distribution("grpc_server_handling_seconds", f'{SERVICE},grpc_method="Explain"'), "{{le}}")],
            "s",
            "Points are calls whose callers traced them; they lead to the trace.",
            kind="heatmap",
            width=16,
        ),
        Panel(
            2,
            "Latency of calls, 99%",
            [Query("max by (grpc_method) (camserve:handling_seconds:p99_5m)", "{{grpc_method}}")],
            "s",
            limit=10,
        ),
        Panel(
            3,
            "Where the time of a request goes",
            [
                Query(
                    f"{_spent('queue|decode|forward|explain|render', 'stage')} / on () group_left () {_REQUESTS}",
                    "{{stage}}",
                )
            ],
            "s",
            "Mean over all requests. What is explained together counts for each request in full.",
            stacked=True,
        ),
        Panel(4, "Stages, 95%", [Query(quantile(0.95, _STAGES, METHOD, "stage"), "{{stage}}")], "s"),
        Panel(
            5,
            "Total by method, 95%",
            [Query(quantile(0.95, _STAGES, _TOTAL, "method"), "{{method}}")],
            "s",
            "No method: predictions.",
        ),
        Panel(
            6,
            "Wait in the queue, 95%",
            [Query(f"max by (model) (camserve:queue_wait_seconds:p95_5m{{{MODEL}}})", "{{model}}")],
            "s",
            limit=2,
        ),
        Panel(
            7,
            "Requests of one run, mean",
            [Query(mean("camserve_pack_size", MODEL, "model"), "{{model}}")],
            text="Requests are packed when they have to wait; alone they go at once.",
        ),
        Panel(
            8,
            "What is not the model's, mean",
            [
                Query(f"({_spent('total')} - {_spent('queue|upstream|render')}) / {_REQUESTS}", "gateway"),
                Query(
                    f"({_spent('upstream')} - {_spent('decode|forward|explain')}) / {_REQUESTS}",
                    "TorchServe, and others of the pack",
                ),
            ],
            "s",
        ),
        Panel(9, "Sizes of images, mean", [Query(mean("camserve_image_bytes", MODEL, "model"), "{{model}}")], "bytes"),
    ],
)
