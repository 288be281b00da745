"""Results as messages of the contract."""

from collections.abc import Sequence

import torch
from google.protobuf.duration_pb2 import Duration
from torch import Tensor

from camserve.v1 import explanation_pb2 as pb
from saliency import WarningKind

_CODES = {
    WarningKind.FLAT: pb.WARNING_CODE_FLAT_MAP,
    WarningKind.ALL_NEGATIVE: pb.WARNING_CODE_ALL_NEGATIVE,
    WarningKind.NON_FINITE: pb.WARNING_CODE_NON_FINITE,
}
_MESSAGES = {
    pb.WARNING_CODE_FLAT_MAP: "all values of the map were equal; it is zeros",
    pb.WARNING_CODE_ALL_NEGATIVE: (
        "all evidence was negative, so clipping at zero left nothing; POLARITY_COUNTER shows it"
    ),
    pb.WARNING_CODE_NON_FINITE: "values that are not finite appeared and were set to zero",
    pb.WARNING_CODE_CLASS_AGNOSTIC: "the method does not look at the target: every target gets this map",
    pb.WARNING_CODE_SANITY_FAILING_METHOD: (
        "the method fails sanity checks: its maps look alike whatever the model has learned"
    ),
    pb.WARNING_CODE_RANDOM_WEIGHTS: "the model's weights are random, so its predictions and maps mean nothing",
}


def warning(code: "pb.WarningCode.ValueType") -> pb.Warning:
    """A warning with its sentence."""
    return pb.Warning(code=code, message=_MESSAGES[code])


def map_warning(kind: WarningKind) -> pb.Warning:
    """A warning of the core."""
    return warning(_CODES[kind])


def heatmap(values: Tensor, box: pb.Box) -> pb.Heatmap:
    """A map ``[h, w]`` float32 on the CPU that covers a region of the original image."""
    height, width = values.shape
    low, high = values.aminmax()
    data = values.contiguous().numpy().astype("<f4", copy=False).tobytes()
    return pb.Heatmap(height=height, width=width, data=data, minimum=low.item(), maximum=high.item(), box=box)


def class_predictions(logits: Tensor, labels: Sequence[str], count: int) -> list[pb.Prediction]:
    """The best classes of one image, from its logits ``[N]``."""
    probabilities = torch.softmax(logits, 0)
    top = logits.topk(min(count, len(logits))).indices.tolist()
    return [
        pb.Prediction(
            class_prediction=pb.ClassPrediction(
                index=index, label=labels[index], probability=probabilities[index].item(), logit=logits[index].item()
            )
        )
        for index in top
    ]


def duration(seconds: float) -> Duration:
    """A duration, to the nanosecond."""
    nanos = round(seconds * 1e9)
    return Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
