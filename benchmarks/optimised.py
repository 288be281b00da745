"""Grad-CAM with optimised recipes against the plain forward of the network as it comes."""

import tempfile
from pathlib import Path

import torch
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.in_process import plain_forward
from benchmarks.networks import pictures
from benchmarks.result import Aim, Curve, Part, Plot, Table, Value
from benchmarks.store import PRECISIONS, load_optimised, make_store
from benchmarks.timing import Call, in_turn
from handlers.network import load_network
from model_store.recipe import load_recipe
from saliency import explain

_BATCHES = (1, 8)
_AGREEMENT = {"float32": 0.999, "bfloat16": 0.99}
STORE = Path("out/bench/store")
"""Where optimised recipes and what was compiled of them are kept between runs."""
_FORWARD, _OURS = "plain forward", "camserve"


def measure(rounds: int, name: str) -> Part:
    """Measures a network."""
    make_store(STORE, name)
    plain = load_network(load_recipe(STORE / name), STORE / name, torch.device("cpu"))
    rows: list[list[Value]] = []
    aims: list[Aim] = []
    plots = []
    with tempfile.TemporaryDirectory() as scratch:
        fast = {p: load_optimised(STORE, name, p, scratch=Path(scratch)) for p in PRECISIONS}
        for batch in _BATCHES:
            images = pictures(batch)
            targets = [3] * batch
            calls: dict[str, Call] = {
                _FORWARD: plain_forward(plain, images),
                _OURS: lambda: explain(plain, images, targets),  # noqa: B023 - called in this turn of the loop
                **{f"{p}, prediction": plain_forward(model, images) for p, model in fast.items()},
                **{p: lambda model=model: explain(model, images, targets) for p, model in fast.items()},  # type: ignore[misc]  # noqa: B023
            }
            times = in_turn(calls, max(5, rounds // batch))
            ratios = {who: own.over(times[_FORWARD]) for who, own in times.items()}
            expected = explain(plain, images).maps  # of the top classes: of others the maps of random weights are flat
            found = {p: agreement(expected, explain(model, images).maps) for p, model in fast.items()}
            rows += [[batch, who, own.milliseconds, ratios[who], found.get(who)] for who, own in times.items()]
            aims += [Aim(f"batch {batch}, {p}: forwards", ratios[p].median, 0.75) for p in PRECISIONS if batch == 1]
            aims += [
                Aim(f"batch {batch}, {p}: agreement of maps", found[p], _AGREEMENT[p], most=False) for p in PRECISIONS
            ]
            bars = [Curve(who, [(0, ratio.median)]) for who, ratio in ratios.items()]
            plots.append(Plot(f"{name}, optimised, batch {batch}", "", "forwards", bars))
    columns = ("batch", "who", "ms", "in forwards", "least rank correlation with the plain map")
    title = f"Grad-CAM on {name} with its trunk compiled, median (quartiles)"
    return Part(f"optimised-{name}", [Table(title, columns, rows)], aims, plots)


def agreement(expected: Tensor, found: Tensor) -> float:
    """The least rank correlation of maps ``[B, h, w]`` with those expected."""
    pairs = zip(expected.flatten(1), found.flatten(1), strict=True)
    return min(float(spearmanr(own.numpy(), its.numpy()).statistic) for own, its in pairs)
