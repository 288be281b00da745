"""Grad-CAM in process, as everybody would call it, against a plain forward and the peers."""

import torch
from torch import Tensor, nn

from benchmarks.memory import peak_bytes
from benchmarks.networks import network, pictures
from benchmarks.peers import CAPTUM, PYTORCH_GRAD_CAM, TORCH_CAM, grad_cam_peers
from benchmarks.result import Aim, Curve, Part, Plot, Table, Value
from benchmarks.timing import Call, Times, in_turn
from saliency import explain

FORWARD = "plain forward"
OURS = "camserve"
FIVE = "camserve, 5 classes"
LIMITS = {"resnet50": 1.10, "vit_b_16": 1.25, "vgg16": 1.30}
"""The most that an explanation is to cost, in forwards."""

_BATCHES = (1, 8)
_FACTORS = {PYTORCH_GRAD_CAM: 3.0, TORCH_CAM: 1.2, CAPTUM: 1.2}  # on resnet50; nowhere slower
_CLASSES = (3, 30, 300, 500, 700)


def measure(rounds: int, name: str) -> Part:
    """Measures a network at all batch sizes."""
    model = network(name)
    rows: list[list[Value]] = []
    aims: list[Aim] = []
    plots = []
    for batch in _BATCHES:
        calls = _calls(model, pictures(batch))
        times = in_turn(calls, max(5, rounds // batch))
        peaks = {who: peak_bytes(call) / 2**20 for who, call in calls.items()}
        ratios = {who: own.over(times[FORWARD]) for who, own in times.items()}
        rows += [[batch, who, own.milliseconds, ratios[who], peaks[who]] for who, own in times.items()]
        aims += _aims(name, batch, times, peaks)
        bars = [Curve(who, [(0, ratio.median)]) for who, ratio in ratios.items()]
        plots.append(Plot(f"{name}, batch {batch}", "", "forwards", bars))
    columns = ("batch", "who", "ms", "in forwards", "peak MiB of tensors")
    return Part(name, [Table(f"Grad-CAM on {name}, median (quartiles)", columns, rows)], aims, plots)


def plain_forward(model: nn.Module, images: Tensor) -> Call:
    """The forward of someone who wants the prediction alone, and knows of inference mode."""

    def call() -> Tensor:
        with torch.inference_mode():
            outputs: Tensor = model(images)
        return outputs

    return call


def _calls(model: nn.Module, images: Tensor) -> dict[str, Call]:
    targets = [_CLASSES[0]] * len(images)
    return {
        FORWARD: plain_forward(model, images),
        OURS: lambda: explain(model, images, targets),
        FIVE: lambda: explain(model, images, [list(_CLASSES)] * len(images)),
        **grad_cam_peers(model, images, targets),
    }


def _aims(name: str, batch: int, times: dict[str, Times], peaks: dict[str, float]) -> list[Aim]:
    case, ours = f"{name}, batch {batch}", times[OURS]
    aims = [
        Aim(f"{case}: forwards", ours.over(times[FORWARD]).median, LIMITS[name]),
        Aim(f"{case}: 5 classes over 1", times[FIVE].over(ours).median, 1.15),
        Aim(f"{case}: memory over the forward's", peaks[OURS] / peaks[FORWARD], 1.1),
    ]
    for peer, factor in _FACTORS.items():
        if peer in times:
            least = factor if name == "resnet50" else 1.0
            aims.append(Aim(f"{case}: {peer} over ours", times[peer].over(ours).median, least, most=False))
    return aims
