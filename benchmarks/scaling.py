"""How the core scales with the batch, the classes of an image and its size."""

from torch import nn

from benchmarks.networks import network, pictures
from benchmarks.result import Curve, Part, Plot, Table, Value
from benchmarks.timing import Call, in_turn
from saliency import explain

_BATCHES = (1, 2, 4, 8, 16)
_CLASSES = (1, 2, 4, 8, 16)
_SIDES = (112, 224, 448)


def measure(rounds: int, name: str) -> Part:
    """Measures the core: batch, classes and size, each with the others at 1, 1 and 224."""
    model, few = network(name), max(3, rounds // 5)
    series: dict[str, dict[int, Call]] = {
        "batch": {n: _call(model, n, 1, 224) for n in _BATCHES},
        "classes": {n: _call(model, 1, n, 224) for n in _CLASSES},
        "side": {n: _call(model, 1, 1, n) for n in _SIDES},
    }
    rows: list[list[Value]] = []
    plots = []
    for what, calls in series.items():
        times = in_turn({str(n): call for n, call in calls.items()}, few, warm_up=1)
        medians = [(n, times[str(n)].milliseconds.median) for n in calls]
        rows += [[what, n, times[str(n)].milliseconds] for n in calls]
        plots.append(Plot(f"{name}: {what}", what, "ms", [Curve("Grad-CAM", medians)]))
    return Part("scaling", [Table(f"Grad-CAM on {name}, median (quartiles)", ("of", "count", "ms"), rows)], (), plots)


def _call(model: nn.Module, batch: int, classes: int, side: int) -> Call:
    images, targets = pictures(batch, side), [list(range(classes))] * batch
    return lambda: explain(model, images, targets)
