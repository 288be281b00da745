"""Where the time of one request goes, from the photo's bytes in a worker to the caller's answer."""

import asyncio
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.client import Service, in_turn, photo
from benchmarks.optimised import STORE
from benchmarks.result import Part, Table, Value
from benchmarks.store import make_store, optimised_name
from benchmarks.timing import Call, Spread, Times
from benchmarks.timing import in_turn as in_turn_here
from camserve.image import ImageLimits, decode
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from gateway.launcher.server import Server, run_server
from handlers.classifier import Classifier
from handlers.pack import answer
from handlers.preprocessing import prepare
from handlers.rows import Row
from model_store.archive import build_archive
from saliency import explain
from saliency.capture import forward
from saliency.choice import resolve

_PRECISION = "float32"


def measure(rounds: int, name: str) -> Part:
    """Measures an optimised recipe, each stage as what it adds to those before it."""
    model = optimised_name(name, _PRECISION)
    make_store(STORE, name)
    with _unpacked(build_archive(STORE / model, STORE)) as folder:
        within = in_turn_here(_inside(Classifier(folder, torch.device("cpu"))), rounds)
    with run_server("--model-store", str(STORE), "--models", model) as server:
        through = asyncio.run(_outside(server, model, rounds))
    return Part("stages", [_table(model, {**within, **through})])


def _inside(servable: Classifier) -> dict[str, Call]:
    """What a worker does, in ever longer parts."""
    recipe, network, image = servable.recipe, servable.runner.network, photo()
    limits = ImageLimits()
    pixels = prepare(image, recipe.preprocessing, limits).tensor[None]
    layers = resolve(network, list(servable.defaults.layers), pixels)
    item = wire.Item(explain=pb.ExplainRequest(model=recipe.name, image=image))
    pack = wire.Pack(items=wire.Items(items=[item])).SerializeToString()
    rows = [Row(pixels[0])]
    return {
        "decode": lambda: decode(image, limits),
        "prepare": lambda: prepare(image, recipe.preprocessing, limits),
        "predict": lambda: servable.runner.outputs(rows),
        "forward": lambda: forward(network, pixels, layers),
        "explain": lambda: explain(network, pixels, layers=list(servable.defaults.layers)),
        "answer": lambda: answer(servable, pack, lambda _part: None),
    }


async def _outside(server: Server, model: str, rounds: int) -> dict[str, Times]:
    request = pb.ExplainRequest(model=model, image=photo())
    async with Service(server) as service:
        return await in_turn(
            {"torchserve": service.past_the_gateway(request), "gateway": service.explain(request)}, rounds
        )


def _table(model: str, times: dict[str, Times]) -> Table:
    def less(one: str, *others: str) -> Spread:
        return times[one].less(*(times[other] for other in others)).milliseconds

    rows: list[list[Value]] = [
        ["decode the JPEG", times["decode"].milliseconds],
        ["crop, resize, normalise", less("prepare", "decode")],
        ["forward: compiled trunk and head", times["forward"].milliseconds],
        ["head backward, weights, map, checks", less("explain", "forward")],
        ["messages", less("answer", "explain", "prepare")],
        ["TorchServe", less("torchserve", "answer")],
        ["gateway", less("gateway", "torchserve")],
        ["in all", times["gateway"].milliseconds],
        ["a prediction's forward, for comparison", times["predict"].milliseconds],
    ]
    return Table(f"Stages of one request to {model}, 640x480 JPEG, median (quartiles)", ("stage", "ms"), rows)


@contextmanager
def _unpacked(archive: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as package:
        package.extractall(folder)
        yield Path(folder)
