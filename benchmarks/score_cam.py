"""Score-CAM, as many forwards as a layer has channels, against pytorch-grad-cam's."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks.memory import peak_bytes
from benchmarks.networks import network, pictures
from benchmarks.optimised import STORE, agreement
from benchmarks.peers import PYTORCH_GRAD_CAM, pytorch_grad_cam_call
from benchmarks.result import Aim, Part, Table, Value
from benchmarks.store import PRECISIONS, load_optimised, make_store
from benchmarks.timing import Call, in_turn
from saliency import explain

OURS = "camserve"
_TARGET = 3
_ROUNDS = 3
_CHANNELS = (256, 128, 64, 32)


def measure(rounds: int, name: str) -> Part:
    """Measures Score-CAM, exact and of fewer channels."""
    image, model = pictures(1), network(name)
    make_store(STORE, name)
    score: Callable[..., Call] = _score_cam(image)
    with tempfile.TemporaryDirectory() as scratch:
        fast = {p: load_optimised(STORE, name, p, scratch=Path(scratch)) for p in PRECISIONS}
        calls = {
            PYTORCH_GRAD_CAM: pytorch_grad_cam_call("ScoreCAM", model, image, [_TARGET]),
            OURS: score(model),
            **{f"{OURS}, optimised, {p}": score(network) for p, network in fast.items()},
        }
        times = in_turn(calls, min(rounds, _ROUNDS), warm_up=0)
        peaks = {who: peak_bytes(calls[who]) / 2**20 for who in (PYTORCH_GRAD_CAM, OURS)}
        exact: Tensor = calls[OURS]().maps  # type: ignore[attr-defined]
        agreements = {who: agreement(exact, call().maps) for who, call in list(calls.items())[1:]}  # type: ignore[attr-defined]
    theirs = times[PYTORCH_GRAD_CAM]
    rows: list[list[Value]] = [
        [who, own.milliseconds, theirs.over(own), peaks.get(who), agreements.get(who)] for who, own in times.items()
    ]
    fewer = {f"{OURS}, max_channels={count}": score(model, max_channels=count) for count in _CHANNELS}
    for who, own in in_turn(fewer, 1, warm_up=0).items():
        maps = fewer[who]().maps  # type: ignore[attr-defined]
        rows.append(
            [who, own.milliseconds, theirs.milliseconds.median / own.milliseconds.median, None, agreement(exact, maps)]
        )
    columns = ("who", "ms", f"{PYTORCH_GRAD_CAM} over it", "peak MiB of tensors", "rank correlation with the exact map")
    gain = {who: theirs.over(own).median for who, own in times.items()}
    aims = [
        Aim(f"{OURS}: {PYTORCH_GRAD_CAM} over it", gain[OURS], 1.2, most=False),
        *(
            Aim(f"{OURS}, optimised, {p}: {PYTORCH_GRAD_CAM} over it", gain[f"{OURS}, optimised, {p}"], 2.0, most=False)
            for p in PRECISIONS
        ),
        Aim("memory over pytorch-grad-cam's", peaks[OURS] / peaks[PYTORCH_GRAD_CAM], 0.25),
    ]
    return Part("score-cam", [Table(f"Score-CAM on {name}, batch 1, median (quartiles)", columns, rows)], aims)


def _score_cam(image: Tensor) -> Callable[..., Call]:
    def call(model: nn.Module, **options: Any) -> Call:
        return partial(explain, model, image, [_TARGET], "score-cam", **options)

    return call
