"""A photo in, map and prediction out, through the whole service, beside the network in this process."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.client import AsyncCall, Service, at_once, in_turn, photo
from benchmarks.hop import bare_hop
from benchmarks.in_process import plain_forward
from benchmarks.networks import pictures
from benchmarks.optimised import STORE
from benchmarks.result import Aim, Part, Table, Value
from benchmarks.store import PRECISIONS, load_optimised, make_store, optimised_name
from benchmarks.timing import Call, Spread, Times
from benchmarks.timing import in_turn as in_turn_here
from camserve.v1 import explanation_pb2 as pb
from gateway.launcher.server import Server, run_server
from handlers.network import load_network
from model_store.cores import cores
from model_store.recipe import load_recipe
from saliency import explain

_THROUGH, _PAST, _HOP = "through the gateway", "straight from TorchServe", "a hop to a process that does nothing"
FORWARD = "plain forward in process"
_SMALL = "scenes-classifier"
"""Whose runs are short, so that what the gateway adds to them can be seen."""
_SMALL_ROUNDS = 20  # to one of a large network's
_ANSWER_BYTES = 1000  # about, of a response
_CALLERS = (16, 64)
_SECONDS = 10.0
_WARM_UP = 5.0
_BATCH = 16


def measure(rounds: int, name: str) -> Part:
    """Measures a recipe as it is and optimised, with a worker on all cores and with one on each."""
    counts = sorted({1, cores()})
    make_store(STORE, name, counts)
    plain = load_network(load_recipe(STORE / name), STORE / name, torch.device("cpu"))
    networks = {name: plain}
    with tempfile.TemporaryDirectory() as scratch:
        for precision in PRECISIONS:
            network = load_optimised(STORE, name, precision, scratch=Path(scratch))
            networks |= {optimised_name(name, precision, count): network for count in counts}
        with run_server("--model-store", str(STORE), "--models", ",".join(networks)) as server:
            alone, throughput = asyncio.run(_measure(server, rounds, networks))
    with run_server("--models", _SMALL) as server:
        short = asyncio.run(_gateway(server, _SMALL_ROUNDS * rounds))
    return _told(name, alone, throughput, short)


class Load(NamedTuple):
    """What a model did for callers at once; rates are of explanations a second."""

    model: str
    callers: int
    rate: float
    in_process: float
    latency: Spread

    @property
    def share(self) -> float:
        """Of the rate in process."""
        return self.rate / self.in_process


async def _measure(
    server: Server, rounds: int, networks: dict[str, nn.Module]
) -> tuple[dict[str, Times], Sequence[Load]]:
    """Calls one at a time beside the first network's forward, and callers at once."""
    image = photo()
    async with Service(server) as service:
        explains = {model: service.explain(pb.ExplainRequest(model=model, image=image)) for model in networks}
        predicts = {model: service.predict(pb.PredictRequest(model=model, image=image)) for model in networks}
        alone = await in_turn(
            {
                FORWARD: _awaited(plain_forward(next(iter(networks.values())), pictures(1))),
                **{f"explain, {model}": call for model, call in explains.items()},
                **{f"predict, {model}": call for model, call in predicts.items()},
            },
            rounds,
        )
        loads = []
        for model, network in networks.items():
            in_process = _rate(network)
            await at_once(explains[model], _CALLERS[0], _WARM_UP)
            for callers in _CALLERS:
                rate, latency = await at_once(explains[model], callers, _SECONDS)
                loads.append(Load(model, callers, rate, in_process, latency.milliseconds))
    return alone, loads


async def _gateway(server: Server, rounds: int) -> dict[str, Times]:
    """A short run through the gateway, past it, and the same bytes to a process that does nothing."""
    request = pb.ExplainRequest(model=_SMALL, image=photo())
    async with Service(server) as service, bare_hop(request.SerializeToString(), _ANSWER_BYTES) as hop:
        calls = {_THROUGH: service.explain(request), _PAST: service.past_the_gateway(request), _HOP: hop}
        return await in_turn(calls, rounds)


def _told(name: str, alone: dict[str, Times], loads: Sequence[Load], short: dict[str, Times]) -> Part:
    forward = alone[FORWARD]
    rows: list[list[Value]] = [[who, own.milliseconds, own.over(forward)] for who, own in alone.items()]
    added = short[_THROUGH].less(short[_PAST])
    own_share = added.less(short[_HOP])
    gateway: list[list[Value]] = [[f"{_SMALL}, {which}", short[which].milliseconds] for which in (_THROUGH, _PAST)]
    gateway += [
        ["difference", added.milliseconds],
        [_HOP, short[_HOP].milliseconds],
        ["the gateway's own share: the difference without a hop", own_share.milliseconds],
    ]
    fast = [optimised_name(name, precision) for precision in PRECISIONS]
    busy = [optimised_name(name, precision, cores()) for precision in PRECISIONS]  # what to take for many callers
    aims = [
        *(Aim(f"explain, {m}: forwards", alone[f"explain, {m}"].over(forward).median, 1.0) for m in fast),
        *(Aim(f"predict, {m}: forwards", alone[f"predict, {m}"].over(forward).median, 1.05) for m in fast),
        *(
            Aim(f"{x.model}, {x.callers} callers: of the rate in process", x.share, 0.9, most=False)
            for x in loads
            if x.model in busy
        ),
        Aim("the gateway's own share: ms", own_share.milliseconds.median, 1.5),
    ]
    tables = [
        Table("One 640x480 JPEG at a time, median (quartiles)", ("what", "ms", "in forwards"), rows),
        Table("What the gateway adds, median (quartiles)", ("what", "ms"), gateway),
        Table(
            f"Explanations for callers at once, {_SECONDS:g} s each",
            ("model", "callers", "a second", f"in process, batch {_BATCH}", "of that", "latency, ms"),
            [(x.model, x.callers, x.rate, x.in_process, x.share, x.latency) for x in loads],
        ),
    ]
    return Part("service", tables, aims)


def _rate(network: nn.Module) -> float:
    """Images a second that are explained in this process in full batches; reading pictures is not in it."""
    images = pictures(_BATCH)
    taken = in_turn_here({"": lambda: explain(network, images)}, 3, warm_up=1)[""]
    return 1000 * _BATCH / taken.milliseconds.median


def _awaited(call: Call) -> AsyncCall:
    async def awaited() -> object:
        return call()

    return awaited
