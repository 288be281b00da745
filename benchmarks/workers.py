"""How the service scales with callers at once, and with workers."""

import asyncio
import time
from collections.abc import Iterable

from benchmarks.client import Service, at_once, photo, workers
from benchmarks.optimised import STORE
from benchmarks.result import Curve, Part, Plot, Table, Value
from benchmarks.store import make_store, optimised_name
from benchmarks.timing import Times
from camserve.v1 import explanation_pb2 as pb
from gateway.launcher.server import Server, run_server
from model_store.archive import build_archive
from model_store.cores import cores, share

_CALLERS = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS = 2.0
_PRECISION = "float32"


def measure(_rounds: int, name: str) -> Part:
    """Measures the service, with all cores for one worker and with a core for each of several."""
    counts = sorted({1, cores()})
    make_store(STORE, name, counts)
    rows: list[list[Value]] = []
    started: list[list[Value]] = []
    throughputs, latencies = [], []
    for count in counts:
        model = optimised_name(name, _PRECISION, count)
        build_archive(STORE / model, STORE)
        label = f"{count} x {share(count)} threads"
        before = time.perf_counter()
        with run_server("--model-store", str(STORE), "--models", model) as server:
            seconds = time.perf_counter() - before
            memory = [each.memory_full_info().uss / 2**20 for each in workers(server)]
            started.append([label, seconds, max(memory)])
            found = asyncio.run(_callers(server, model, _CALLERS))
        rows += [[label, callers, rate, latency.milliseconds] for callers, rate, latency in found]
        throughputs.append(Curve(label, [(callers, rate) for callers, rate, _ in found]))
        latencies.append(Curve(label, [(callers, latency.milliseconds.median) for callers, _, latency in found]))
    return Part(
        "workers",
        [
            Table("Callers at once", ("workers", "callers", "explanations a second", "latency, ms"), rows),
            Table("Start", ("workers", "seconds until ready", "MiB of its own, of a worker"), started),
        ],
        (),
        [
            Plot("Throughput", "callers", "explanations a second", throughputs),
            Plot("Median latency", "callers", "ms", latencies),
        ],
    )


async def _callers(server: Server, model: str, counts: Iterable[int]) -> list[tuple[int, float, Times]]:
    async with Service(server) as service:
        call = service.explain(pb.ExplainRequest(model=model, image=photo()))
        await at_once(call, 4, 1.0)  # warms up
        return [(count, *await at_once(call, count, _SECONDS)) for count in counts]
