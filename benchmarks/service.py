"""A photo in, map and prediction out, through the whole service, beside the network in this process."""

import asyncio
import tempfile
from pathlib import Path

import torch
from torch import nn

from benchmarks.client import AsyncCall, Service, at_once, in_turn, photo
from benchmarks.in_process import plain_forward
from benchmarks.networks import pictures
from benchmarks.optimised import STORE
from benchmarks.result import Aim, Part, Table, Value
from benchmarks.store import PRECISIONS, load_optimised, make_store, optimised_name
from benchmarks.timing import Call, Spread
from benchmarks.timing import in_turn as in_turn_here
from camserve.v1 import explanation_pb2 as pb
from gateway.launcher.server import Server, run_server
from handlers.network import load_network
from model_store.recipe import load_recipe
from saliency import explain

FORWARD = "plain forward in process"
_CALLERS = (16, 64)
_SECONDS = 8.0
_BATCH = 16


def measure(rounds: int, name: str) -> Part:
    """Measures a recipe as it is and optimised."""
    make_store(STORE, name, threads=torch.get_num_threads())
    models = [name, *(optimised_name(name, precision) for precision in PRECISIONS)]
    plain = load_network(load_recipe(STORE / name), STORE / name, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as scratch:
        fast = {optimised_name(name, p): load_optimised(STORE, name, p, scratch=Path(scratch)) for p in PRECISIONS}
        with run_server("--model-store", str(STORE), "--models", ",".join(models)) as server:
            return asyncio.run(_measure(server, rounds, {name: plain, **fast}))


async def _measure(server: Server, rounds: int, networks: dict[str, nn.Module]) -> Part:
    plain = next(iter(networks))
    image = photo()
    async with Service(server) as service:
        explains = {model: service.explain(pb.ExplainRequest(model=model, image=image)) for model in networks}
        predicts = {model: service.predict(pb.PredictRequest(model=model, image=image)) for model in networks}
        past = {m: service.past_the_gateway(pb.ExplainRequest(model=m, image=image)) for m in networks}
        alone = await in_turn(
            {
                FORWARD: _awaited(plain_forward(networks[plain], pictures(1))),
                **{f"explain, {model}": call for model, call in explains.items()},
                **{f"past the gateway, {model}": call for model, call in past.items()},
                **{f"predict, {model}": call for model, call in predicts.items()},
            },
            rounds,
        )
        throughput = []
        for model, network in networks.items():
            here = _rate(network)
            for callers in _CALLERS:
                rate, latency = await at_once(explains[model], callers, _SECONDS)
                throughput.append((model, callers, rate, here, rate / here, latency.milliseconds))
    return _told(alone, throughput, networks)


def _told(alone: dict, throughput: list[tuple[str, int, float, float, float, Spread]], networks: dict) -> Part:  # type: ignore[type-arg]
    forward = alone[FORWARD]
    rows: list[list[Value]] = [[who, own.milliseconds, own.over(forward)] for who, own in alone.items()]
    shares = {
        model: Spread.of(
            [
                1000 * (through - direct)
                for through, direct in zip(
                    alone[f"explain, {model}"].seconds, alone[f"past the gateway, {model}"].seconds, strict=True
                )
            ]
        )
        for model in networks
    }
    plain, *optimised = networks
    aims = [
        *(Aim(f"explain, {m}: forwards", alone[f"explain, {m}"].over(forward).median, 1.0) for m in optimised),
        Aim(f"predict, {plain}: forwards", alone[f"predict, {plain}"].over(forward).median, 1.05),
        *(Aim(f"predict, {m}: forwards", alone[f"predict, {m}"].over(forward).median, 1.05) for m in optimised),
        *(
            Aim(f"{m}, {n} callers: of the rate in process", share, 0.9, most=False)
            for m, n, _, _, share, _ in throughput
        ),
        *(Aim(f"the gateway's share, {m}: ms", share.median, 1.5) for m, share in shares.items()),
    ]
    tables = [
        Table("One 640x480 JPEG at a time, median (quartiles)", ("what", "ms", "in forwards"), rows),
        Table("The gateway's share", ("model", "ms"), list(shares.items())),
        Table(
            f"Explanations for callers at once, {_SECONDS:g} s each",
            ("model", "callers", "a second", f"in process, batch {_BATCH}", "of that", "latency, ms"),
            throughput,
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
