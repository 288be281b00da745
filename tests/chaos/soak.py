"""Thousands of requests of every kind; nothing may grow and none may be miscounted."""

import asyncio
import random
from collections import Counter

import numpy as np
import psutil

from camserve.v1 import explanation_pb2 as pb
from tests.chaos.models import picture
from tests.chaos.report import Report
from tests.chaos.scale import Scale
from tests.chaos.service import Service
from tests.hostility.images import malformed_images

_LOOKS = 10
_WARM_UP = 3
_HOSTILE = 0.05
_MOST_GROWTH_MIB = 64.0  # for 10,000 requests; allocators and JIT compilers take a while to settle


async def soak(service: Service, scale: Scale, report: Report) -> None:
    """All methods, predictions, streams and progress, one in twenty hostile."""
    methods = [
        method.id for method in (await service.caller.stub.GetModel(pb.GetModelRequest(name="quick"))).model.methods
    ]
    hostile = list(malformed_images().values())
    pictures = [picture(seed) for seed in range(8)]
    choose = random.Random(0)  # noqa: S311
    codes: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    bounded = asyncio.Semaphore(8)

    def explain() -> pb.ExplainRequest:
        bad = choose.random() < _HOSTILE
        image = choose.choice(hostile if bad else pictures)
        return pb.ExplainRequest(model="quick", image=image, method=choose.choice(methods))

    async def one() -> None:
        request, kind = explain(), choose.random()
        async with bounded:
            if kind < 0.6:
                sent["Explain"] += 1
                codes[(await service.caller.ask(request, timeout=120)).code] += 1
            elif kind < 0.9:
                sent["Predict"] += 1
                predict = pb.PredictRequest(model="quick", image=request.image)
                codes[(await service.caller.ask(predict, timeout=120)).code] += 1
            else:
                sent["ExplainStream"] += 1
                items = [pb.ExplainStreamRequest(id=str(place), request=request) for place in range(2)]
                async for answer in service.caller.stub.ExplainStream(iter(items), timeout=120):
                    codes["INVALID_ARGUMENT" if answer.HasField("error") and answer.error.code == 3 else "OK"] += 1

    before = {method: await _handled(service, method) for method in ("Explain", "Predict", "ExplainStream")}
    workers = {worker.pid for worker in service.workers()}
    looks: list[dict[str, tuple[float, int, int]]] = []
    for _ in range(_LOOKS):
        await asyncio.gather(*(one() for _ in range(scale.soak // _LOOKS)))
        looks.append(_look(service))
    after = {method: await _handled(service, method) - before[method] for method in before}
    report.add("soak", f"{scale.soak} calls with {len(methods)} methods, {_HOSTILE:.0%} hostile", _told(codes))
    kept = set(codes) <= {"OK", "INVALID_ARGUMENT"}
    report.add("soak", "codes", " ".join(codes), "OK, INVALID_ARGUMENT", kept)
    counted = all(after[method] == sent[method] for method in sent)
    report.add("soak", "calls counted once each", f"{sum(after.values()):.0f}", str(sum(sent.values())), counted)
    same = workers == {worker.pid for worker in service.workers()}
    report.add("soak", "workers as before", same, "True", same)
    for name in looks[-1]:
        series = np.array([look[name] for look in looks[_WARM_UP:]])
        requests = scale.soak / _LOOKS * np.arange(len(series))
        slope = float(np.polyfit(requests, series[:, 0], 1)[0]) * 10_000
        flat = slope < _MOST_GROWTH_MIB
        report.add("soak", f"{name}: growth, MiB per 10,000 calls", slope, f"< {_MOST_GROWTH_MIB:g}", flat, timed=True)
        for place, what in ((1, "descriptors"), (2, "threads")):
            first, last = int(series[0, place]), int(series[-1, place])
            report.add("soak", f"{name}: {what}", f"{first} to {last}", "no more than +8", last <= first + 8)


async def _handled(service: Service, method: str) -> float:
    return await service.metric("grpc_server_handled_total", grpc_method=method)


def _look(service: Service) -> dict[str, tuple[float, int, int]]:
    """Memory in MiB, descriptors and threads of each process."""
    gateway, java = service.root, service.java()
    (worker,) = service.workers("name: quick")
    return {"gateway": _size(gateway), "TorchServe": _size(java), "worker": _size(worker)}


def _size(process: psutil.Process) -> tuple[float, int, int]:
    return process.memory_info().rss / 2**20, process.num_fds(), process.num_threads()


def _told(codes: Counter[str]) -> str:
    return " ".join(f"{code}:{count}" for code, count in codes.most_common())
