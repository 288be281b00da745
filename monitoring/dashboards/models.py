"""Are there enough workers, and do they live?"""

from monitoring.dashboards.form import METHOD, MODEL, Dashboard, Panel, Query
from monitoring.dashboards.promql import rate

MODELS = Dashboard(
    "camserve-models",
    "camserve: models and workers",
    [
        Panel(
            1,
            "Workers",
            [
                Query(f"sum by (model) (camserve_worker_ready{{{MODEL}}})", "{{model}} ready"),
                Query(f"sum by (model) (camserve_worker_wanted{{{MODEL}}})", "{{model}} wanted"),
            ],
        ),
        Panel(
            2,
            "Restarts of workers",
            [
                Query(f"sum by (model) (increase(camserve_worker_restarts_total{{{MODEL}}}[15m]))", "{{model}}"),
                Query(f"sum by (model) (increase(camserve_lost_runs_total{{{MODEL}}}[15m]))", "{{model}} runs lost"),
            ],
            text="In 15 minutes. A run is lost with its worker; a worker may end without one.",
            limit=3,
        ),
        Panel(
            3,
            "Busy workers",
            [Query(f"max by (model) (camserve:workers:utilisation{{{MODEL}}})", "{{model}}")],
            "percentunit",
            "What to scale on, with the queue: a model whose workers are always busy needs more of them.",
            top=1,
        ),
        Panel(
            4,
            "Fullness of queues",
            [Query(f"max by (model) (camserve:queue:fullness{{{MODEL}}})", "{{model}}")],
            "percentunit",
            limit=0.8,
            top=1,
        ),
        Panel(
            5,
            "Maps",
            [Query(f"sum by (model, method) (camserve:maps:rate5m{{{METHOD}}})", "{{model}} {{method}}")],
            "ops",
            stacked=True,
        ),
        Panel(6, "Runs", [Query(rate("camserve_pack_size_count", MODEL, "model"), "{{model}}")], "ops"),
        Panel(
            7,
            "Processor time of the gateway",
            [Query('rate(process_cpu_seconds_total{job="camserve"}[$__rate_interval])', "{{instance}}")],
            "percentunit",
            "It has one event loop: at one core it is full.",
            limit=0.9,
        ),
        Panel(
            8,
            "Memory of the gateway",
            [Query('process_resident_memory_bytes{job="camserve"}', "{{instance}}")],
            "bytes",
        ),
        Panel(
            9,
            "Open files of the gateway",
            [Query('process_open_fds{job="camserve"}', "{{instance}}")],
        ),
        Panel(
            10,
            "TorchServe: runs",
            [Query(rate("ts_inference_requests_total", 'model_name=~"$model"', "model_name"), "{{model_name}}")],
            "ops",
            "By its own count; the gateway's looks for life are among them.",
        ),
        Panel(
            11,
            "TorchServe: loading a model",
            [Query('max by (WorkerName) (WorkerLoadTime{job="torchserve"})', "{{WorkerName}}")],
            "ms",
        ),
        Panel(12, "What runs", [Query("camserve_build_info")], kind="table"),
        Panel(
            13,
            "Requests that never reached a worker",
            [Query(rate("camserve_dropped_total", MODEL, "model, reason"), "{{model}} {{reason}}")],
            "reqps",
            "They left the queue first: their deadline passed, or their caller had gone.",
            stacked=True,
        ),
    ],
)
