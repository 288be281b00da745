"""The explanation core: which parts of an image a vision model's score rests on.

Pure PyTorch, and usable by itself:

    from saliency import explain, normalize, upsample

    result = explain(model.eval(), images, targets=[281, 207], method="grad-cam")
    heat = upsample(normalize(result.maps), images.shape[-2:])

Files: ``hooks`` (how a call watches a model), ``capture`` (forward and head gradients), ``attention`` (seeing attention
weights), ``layers`` (how a layer's output is a map), ``survey`` (which layers are maps), ``choice`` (which layer),
``targets`` (which score), ``registry`` (which methods), ``families`` (the methods), ``maps`` (what is done to maps),
``explanation`` (what comes out), ``explainer`` (all of it in order).
"""

from saliency.explainer import explain
from saliency.explanation import Explanation, MapWarning, WarningKind
from saliency.layers import LayerError
from saliency.maps import normalize, upsample
from saliency.registry import Cost, Method, Option, OptionError, UnknownMethodError, UnsuitableError, method, methods
from saliency.targets import Class, Contrast, Counter, Rank, TargetError

__all__ = [
    "Class",
    "Contrast",
    "Cost",
    "Counter",
    "Explanation",
    "LayerError",
    "MapWarning",
    "Method",
    "Option",
    "OptionError",
    "Rank",
    "TargetError",
    "UnknownMethodError",
    "UnsuitableError",
    "WarningKind",
    "explain",
    "method",
    "methods",
    "normalize",
    "upsample",
]
