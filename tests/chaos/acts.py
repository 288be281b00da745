"""The acts: each does its worst and notes what came of it."""

import asyncio
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import TypeVar

from camserve.v1 import explanation_pb2 as pb
from tests.chaos.load import Outcome, at_rate, in_parallel, percentile
from tests.chaos.models import HANG, PACE, POISON, RESPONSE_TIMEOUT_S, add_model, picture, plain
from tests.chaos.report import Report
from tests.chaos.scale import Scale
from tests.chaos.service import Service
from tests.hostility.images import malformed_images
from tests.hostility.messages import fuzzed_messages

Act = Callable[[Service, Scale, Report], Awaitable[None]]

QUEUE_ITEMS = 32
"""What may wait, so that a deadline of seconds covers it."""

T = TypeVar("T")

_PICTURES = [picture(seed) for seed in range(16)]
_FAULTS_OF_CALLERS = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}


def _predict(place: int = 0, model: str = "steady") -> pb.PredictRequest:
    return pb.PredictRequest(model=model, image=_PICTURES[place % len(_PICTURES)])


def _codes(outcomes: Sequence[Outcome]) -> Counter[str]:
    return Counter(outcome.code for outcome in outcomes)


def _told(codes: Counter[str]) -> str:
    return " ".join(f"{code}:{count}" for code, count in codes.most_common())


async def overload(service: Service, scale: Scale, report: Report) -> None:
    """More than the model can do."""

    async def ask(place: int) -> Outcome:
        return await service.caller.ask(_predict(place), timeout=3.0)

    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(scale.seconds, stop.set)
    start = time.perf_counter()
    closed = await in_parallel(ask, 16, stop)
    capacity = len(closed) / (time.perf_counter() - start)
    report.add("overload", "requests/s with 16 callers that wait (the model alone: 50)", capacity)
    for times in (1, 2, 5):
        start = time.perf_counter()
        outcomes = await at_rate(ask, times * capacity, scale.seconds)
        answered = [outcome for outcome in outcomes if outcome.code == "OK"]
        goodput = len(answered) / (time.perf_counter() - start) / capacity
        kept, promise = (goodput >= 0.8, ">= 0.8 of capacity") if times > 1 else (True, "")
        report.add("overload", f"goodput at {times}x, as a share of capacity", goodput, promise, kept, timed=True)
        slowest = percentile(answered, 0.99)
        report.add("overload", f"99 % of answers at {times}x, s", slowest, "< 3", slowest < 3, timed=True)
        refused = [outcome for outcome in outcomes if outcome.reason == "QUEUE_FULL"]
        if times == 5:
            codes = _codes(outcomes)
            only = set(codes) <= {"OK", "RESOURCE_EXHAUSTED"}
            report.add("overload", "codes at 5x", _told(codes), "answers and refusals", only, timed=True)
            report.add("overload", "refusals at 5x", len(refused), "> 0", bool(refused))
            for share in (0.5, 0.99):
                value = percentile(refused, share) * 1000
                report.add("overload", f"{share:.0%} of refusals, ms", value, "< 50", value < 50, timed=True)
    start = time.perf_counter()
    last = await service.caller.ask(_predict())
    recovery = time.perf_counter() - start
    report.add("overload", "a request after the load, s", recovery, "< 2", recovery < 2, timed=True)
    report.add("overload", "and its code", last.code, "OK", last.code == "OK")


async def streams(service: Service, scale: Scale, report: Report) -> None:
    """A bulk stream beside more single calls than the model can do."""
    items = [
        pb.ExplainStreamRequest(id=str(place), request=pb.ExplainRequest(model="steady", image=image))
        for place, image in zip(range(scale.storm), cycle(_PICTURES), strict=False)
    ]
    stop = asyncio.Event()

    async def ask(place: int) -> Outcome:
        return await service.caller.ask(_predict(place))

    beside = asyncio.create_task(in_parallel(ask, QUEUE_ITEMS // 4, stop))
    responses = [response async for response in service.caller.stub.ExplainStream(iter(items), timeout=300)]
    stop.set()
    errors = sum(response.HasField("error") for response in responses)
    report.add(
        "streams",
        "items of a stream beside single calls",
        len(responses),
        str(len(items)),
        len(responses) == len(items),
    )
    report.add("streams", "items refused", errors, "0", errors == 0)
    codes = _codes(await beside)
    report.add("streams", "single calls meanwhile", _told(codes), "all OK", set(codes) == {"OK"})


async def storms(service: Service, scale: Scale, report: Report) -> None:
    """Callers in a hurry, and callers who go away."""
    before = {worker.pid for worker in service.workers()}
    choose = random.Random(0)  # noqa: S311

    async def hurry(place: int) -> Outcome:
        return await service.caller.ask(_predict(place), timeout=choose.uniform(0.005, 0.3))

    async def leave(place: int) -> str:
        call = asyncio.ensure_future(service.caller.ask(_predict(place)))
        await asyncio.sleep(choose.uniform(0, 0.3))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return "left" if call.cancelled() else call.result().code

    async def drops(reason: str) -> float:
        return await service.metric("camserve_dropped_total", model="steady", reason=reason)

    async def executed() -> float:
        return await service.metric("camserve_pack_size_sum", model="steady")

    before_hurry, ran = await drops("expired") + await drops("abandoned"), await executed()
    in_a_hurry = await _waves(hurry, scale.storm)
    await _settled(service)
    never = await drops("expired") + await drops("abandoned") - before_hurry
    ran = await executed() - ran
    codes = _codes(in_a_hurry)
    report.add("storms", f"{scale.storm} calls with deadlines of 5 to 300 ms", _told(codes))
    report.add("storms", "expired ones that never reached a worker", f"{never:.0f}", "> 0", never > 0)
    refused_here = codes["RESOURCE_EXHAUSTED"]
    beyond = ran + never + refused_here <= scale.storm
    report.add(
        "storms",
        "executed + never executed + refused <= sent",
        f"{ran:.0f} + {never:.0f} + {refused_here}",
        f"<= {scale.storm}",
        beyond,
    )
    abandoned = await drops("abandoned")
    ended = Counter(await _waves(leave, scale.storm))
    await _settled(service)
    report.add("storms", f"{scale.storm} callers who leave within 300 ms", _told(ended))
    report.add("storms", "abandoned ones that never reached a worker", f"{await drops('abandoned') - abandoned:.0f}")
    after = {worker.pid for worker in service.workers()}
    report.add("storms", "workers restarted", len(before - after), "0", before == after)


async def _waves(ask: Callable[[int], Awaitable[T]], count: int) -> list[T]:
    """So many calls, a queue's worth at a time."""
    done: list[T] = []
    while len(done) < count:
        some = range(len(done), min(count, len(done) + QUEUE_ITEMS))
        done += await asyncio.gather(*(ask(place) for place in some))
    return done


async def _settled(service: Service) -> None:
    """Waits until nothing waits and nothing runs."""
    while await service.metric("camserve_queue_depth") or await service.metric("camserve_in_flight"):
        await asyncio.sleep(0.05)


async def crashes(service: Service, scale: Scale, report: Report) -> None:
    """Workers that are killed and stopped, and a TorchServe that is killed, under load."""

    async def under_load(what: str, fault: Callable[[], object]) -> None:
        stop = asyncio.Event()

        async def ask(place: int) -> Outcome:
            return await service.caller.ask(_predict(place), timeout=100)

        load = asyncio.create_task(in_parallel(ask, 8, stop))
        await asyncio.sleep(0.5)
        fault()
        flipped = await service.until_healthy(wanted=False)
        back = await service.until_healthy()
        await asyncio.sleep(0.5)
        stop.set()
        outcomes = await load
        codes = _codes(outcomes)
        lost = sum(outcome.code != "OK" and outcome.reason != "MODEL_NOT_READY" for outcome in outcomes)
        report.add("crashes", f"{what}: health says so after, s", flipped)
        report.add("crashes", f"{what}: health is back after, s", back)
        report.add("crashes", f"{what}: accepted requests lost", lost, "0", lost == 0)
        report.add("crashes", f"{what}: calls by code", _told(codes))

    for number in range(scale.kills):
        await under_load(f"SIGKILL {number + 1} of a worker", service.workers("steady")[0].kill)
    if scale.hangs:
        stopping = f"SIGSTOP of a worker (timeout {RESPONSE_TIMEOUT_S} s)"
        await under_load(stopping, service.workers("steady")[0].suspend)
    await under_load("SIGKILL of TorchServe", service.java().kill)


async def poison(service: Service, scale: Scale, report: Report) -> None:
    """Requests that kill or hang whatever runs them, in the same pack as good ones."""
    alone = [(await service.caller.ask(_predict(place))).response for place in range(4)]
    for what, colour in (("kills", POISON), *((("hangs", HANG),) if scale.hangs else ())):
        lost = await service.metric("camserve_lost_runs_total", model="steady")
        busy = asyncio.ensure_future(service.caller.ask(_predict()))
        await asyncio.sleep(PACE / 2)
        bad = pb.PredictRequest(model="steady", image=plain(colour))
        good = [asyncio.ensure_future(service.caller.ask(_predict(place), timeout=100)) for place in range(2)]
        culprit = asyncio.ensure_future(service.caller.ask(bad, timeout=100))
        good += [asyncio.ensure_future(service.caller.ask(_predict(place), timeout=100)) for place in (2, 3)]
        outcomes, its = await asyncio.gather(*good), await culprit
        await busy
        equal = all(
            outcome.code == "OK" and _close(outcome.response, before)
            for outcome, before in zip(outcomes, alone, strict=True)
        )
        report.add(
            "poison", f"good ones beside one that {what} workers", _told(_codes(outcomes)), "as when alone", equal
        )
        report.add(
            "poison", f"the one that {what} workers", its.reason, "WORKER_CRASHED", its.reason == "WORKER_CRASHED"
        )
        await service.until_healthy()
        again = await service.caller.ask(bad)
        kept = again.reason == "REQUEST_QUARANTINED"
        report.add("poison", "and again", again.reason, "REQUEST_QUARANTINED", kept)
        died = await service.metric("camserve_lost_runs_total", model="steady") - lost
        report.add("poison", "workers that died of it", f"{died:.0f}", "2", died == 2)


def _close(one: pb.PredictResponse, other: pb.PredictResponse) -> bool:
    pairs = zip(one.predictions, other.predictions, strict=True)
    return all(abs(a.class_prediction.logit - b.class_prediction.logit) < 1e-5 for a, b in pairs)


async def hostility(service: Service, scale: Scale, report: Report) -> None:
    """Images and messages that were made to hurt."""
    before = {worker.pid for worker in service.workers()}
    images = malformed_images()
    bounded = asyncio.Semaphore(8)

    async def image(data: bytes) -> Outcome:
        async with bounded:
            return await service.caller.ask(pb.ExplainRequest(model="quick", image=data))

    codes = _codes(await asyncio.gather(*map(image, images.values())))
    report.add(
        "hostility",
        f"{len(images)} malformed images",
        _told(codes),
        "INVALID_ARGUMENT",
        set(codes) == {"INVALID_ARGUMENT"},
    )

    async def message(method: str, data: bytes) -> Outcome:
        async with bounded:
            return await service.caller.send(method, data)

    fuzzed = fuzzed_messages(scale.messages, ["quick"])
    codes = _codes(await asyncio.gather(*(message(method, data) for method, data in fuzzed)))
    kept = set(codes) <= {"OK", *_FAULTS_OF_CALLERS}
    report.add("hostility", f"{scale.messages} fuzzed messages", _told(codes), "callers' faults", kept)
    after = {worker.pid for worker in service.workers()}
    report.add("hostility", "workers restarted", len(before - after), "0", before == after)
    report.add("hostility", "healthy", await service.healthy(), "True", await service.healthy())


async def versions(service: Service, scale: Scale, report: Report) -> None:
    """A new version of a model, one that cannot be loaded, and back again, under load."""
    stop = asyncio.Event()

    async def ask(place: int) -> Outcome:
        await asyncio.sleep(0.02)
        return await service.caller.ask(_predict(place, "quick"))

    async def until(wanted: Callable[[list[str]], bool]) -> float:
        start = time.monotonic()
        while not wanted([m.version for m in (await service.caller.stub.ListModels(pb.ListModelsRequest())).models]):
            await asyncio.sleep(0.1)
        return time.monotonic() - start

    load = asyncio.create_task(in_parallel(ask, 2, stop))
    add_model(service.store, "quick", version="2")
    service.root.send_signal(signal.SIGHUP)
    report.add("versions", "version 2 rolled in, s", await until(lambda versions: "2" in versions))
    broken = add_model(service.store, "quick", version="3", code="raise LookupError\n")
    former = {process.pid for process in service.processes()}
    service.root.send_signal(signal.SIGHUP)
    while {process.pid for process in service.processes()} <= former:
        await asyncio.sleep(0.1)
    while not {process.pid for process in service.processes()} <= former:
        await asyncio.sleep(0.1)
    listed = await until(lambda versions: "2" in versions and "3" not in versions)
    report.add("versions", "version 3, which cannot be loaded: nothing changes", listed < 1, "True", listed < 1)
    for folder in (broken, service.store / "quick-2"):
        shutil.rmtree(folder)
    service.root.send_signal(signal.SIGHUP)
    report.add("versions", "version 2 rolled out, s", await until(lambda versions: "2" not in versions))
    stop.set()
    outcomes = await load
    codes = _codes(outcomes)
    answered = Counter(outcome.response.version for outcome in outcomes if outcome.code == "OK")
    report.add("versions", "requests meanwhile", _told(codes), "all OK", set(codes) == {"OK"})
    report.add("versions", "answered by version", _told(answered), "1 and 2", set(answered) == {"1", "2"})


async def stop(service: Service, scale: Scale, report: Report) -> None:
    """SIGTERM under load. The last act."""
    accepted = [asyncio.ensure_future(service.caller.ask(_predict(place))) for place in range(QUEUE_ITEMS)]
    while await service.metric("camserve_queue_depth", model="steady") < QUEUE_ITEMS / 4:
        await asyncio.sleep(0.01)
    await asyncio.sleep(PACE)
    status = asyncio.create_task(asyncio.to_thread(service.server.stop, signal.SIGTERM))
    codes = _codes(await asyncio.gather(*accepted))
    report.add("stop", f"{QUEUE_ITEMS} accepted requests at SIGTERM", _told(codes), "all OK", set(codes) == {"OK"})
    report.add("stop", "exit status", await status, "0", await status == 0)
    left = service.server.left_behind()
    report.add("stop", "processes left behind", len(left), "0", not left)
