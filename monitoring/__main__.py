"""The service, a Prometheus that watches it, and some requests: ``make monitor``."""

import argparse
import sys
import time

from camserve import CamserveError, ExplanationClient
from gateway.launcher.server import ServerProcessError, run_server
from monitoring.prometheus_process import PrometheusError, run_prometheus
from monitoring.traffic import pictures, round_of_requests

_PAGES = (
    ("requests a second", "camserve:requests:rate5m"),
    ("share that failed", "camserve:failures:ratio_rate5m"),
    ("latency, 99%", "camserve:handling_seconds:p99_5m"),
    ("where the time goes, 95%", "camserve:stage_seconds:p95_5m"),
    ("busy workers", "camserve:workers:utilisation"),
    ("defective maps", "camserve:defective_maps:ratio_rate30m"),
)


def main() -> int:
    """Runs until Ctrl-C."""
    parser = argparse.ArgumentParser("python -m monitoring", description=__doc__)
    parser.add_argument("--models", default="scenes-classifier", metavar="NAME,...", help="default: %(default)s")
    parser.add_argument("--port", default="50051", help="of the service (default: %(default)s)")
    parser.add_argument("--metrics-port", default="9464", help="of its metrics (default: %(default)s)")
    parser.add_argument("--prometheus-port", type=int, default=9090, help="default: %(default)s")
    parser.add_argument("--pause", type=float, default=1.0, metavar="SECONDS", help="between rounds of requests")
    options = parser.parse_args()
    ports = ("--port", options.port, "--metrics-port", options.metrics_port, "--torchserve-metrics-port", "0")
    try:
        with (
            run_server("--models", options.models, *ports, log=sys.stderr) as server,
            run_prometheus(
                {
                    "camserve": server.metrics_address,
                    "torchserve": server.torchserve_metrics_address,
                    "prometheus": f"127.0.0.1:{options.prometheus_port}",
                },
                port=options.prometheus_port,
            ) as prometheus,
            ExplanationClient(server.address) as client,
        ):
            print(f"\nservice      {server.address}")
            print(f"its metrics  http://{server.metrics_address}/metrics")
            print(f"Prometheus   {prometheus.address}: Alerts, and under Status the Rules and Targets")
            for title, expr in _PAGES:
                print(f"  {title:<25} {prometheus.graph(expr)}")
            print("Grafana      in the containers only: docker compose up, then http://localhost:3000")
            print("Requests of every kind are sent all the time. Ctrl-C ends it all.", flush=True)
            images = pictures()
            while True:
                for image in images:
                    round_of_requests(client, [image])
                    time.sleep(options.pause)
    except (PrometheusError, ServerProcessError, CamserveError) as error:
        print(f"monitoring: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
