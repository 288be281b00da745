"""Methods that take many forwards, against those of pytorch-grad-cam and the authors' Opti-CAM."""

from functools import partial

from benchmarks.authors import opti_cam
from benchmarks.networks import network, pictures
from benchmarks.peers import PYTORCH_GRAD_CAM, pytorch_grad_cam_call
from benchmarks.result import Aim, Part, Table, Value
from benchmarks.timing import Call, in_turn
from saliency import explain

OURS = "camserve"
AUTHORS = "the authors' procedure"
_TARGET = 3
_STEPS = 30
_ROUNDS = 3


def measure(rounds: int) -> Part:
    """Measures methods that are slow in pytorch-grad-cam for no need of theirs, and Opti-CAM."""
    cases: list[tuple[str, str, str, float]] = [
        ("ablation-cam", "AblationCAM", "resnet18", 100),
        ("full-grad", "FullGrad", "resnet50", 10),
        ("eigen-cam", "EigenCAM", "resnet50", 5),
    ]
    image = pictures(1)
    rows: list[list[Value]] = []
    aims: list[Aim] = []

    def compare(method: str, name: str, peer: str, calls: dict[str, Call], factor: float) -> None:
        times = in_turn(calls, min(rounds, _ROUNDS), warm_up=1)
        ratio = times[peer].over(times[OURS])
        rows.append([method, name, peer, times[peer].milliseconds, times[OURS].milliseconds, ratio])
        aims.append(Aim(f"{method}, {name}: {peer} over ours", ratio.median, factor, most=False))

    for method, theirs, name, factor in cases:
        model = network(name)
        calls: dict[str, Call] = {
            PYTORCH_GRAD_CAM: pytorch_grad_cam_call(theirs, model, image, [_TARGET]),
            OURS: partial(explain, model, image, [_TARGET], method),
        }
        compare(method, name, PYTORCH_GRAD_CAM, calls, factor)
    model = network("resnet50")
    calls = {
        AUTHORS: partial(opti_cam, model, image, _TARGET, _STEPS),
        OURS: partial(explain, model, image, [_TARGET], "opti-cam", steps=_STEPS, fill="zero"),
    }
    compare(f"opti-cam, {_STEPS} steps", "resnet50", AUTHORS, calls, 1.5)
    columns = ("method", "network", "against", "theirs, ms", "ours, ms", "theirs over ours")
    return Part("slow", [Table("Slow methods, batch 1, median (quartiles)", columns, rows)], aims)
