"""The explanation core: which parts of an image a vision model's score rests on.

Pure PyTorch, and usable by itself:

    from saliency import explain, normalize, upsample

    result = explain(model.eval(), images, targets=[281, 207], method="grad-cam")
    heat = upsample(normalize(result.maps), images.shape[-2:])

What is explained: ``targets`` (which score), ``layers`` (how a layer's output is read as a map), ``survey`` (which
layers a model has, seen by watching it), ``choice`` (which of them is read).
How models are run: ``hooks`` (watching and replacing modules for one call in one thread), ``capture`` (forward, and
gradients of the head), ``head`` (the head alone, many times), ``masking`` (the image behind many masks), ``picture``
(gradients at the pixels), ``blur`` and ``noise`` (blurred and noisy copies), ``attention`` (attention weights),
``excitation`` (mass in place of gradients), ``progress`` (how far they are).
What comes of it: ``registry`` (what a method is), ``families`` (the methods), ``conceptor`` (the algebra of one of
them), ``maps`` (what is done to maps), ``explanation`` (the result), ``explainer`` (all of it in order), ``table`` (the
methods in Markdown), ``faithfulness`` (how far maps can be trusted).
How a model is trained so that its gradients can be read: ``interpretable``.
"""

from saliency.explainer import explain
from saliency.explanation import Explanation, MapWarning, WarningKind
from saliency.layers import LayerError
from saliency.maps import normalize, upsample
from saliency.progress import Progress, Watcher
from saliency.registry import (
    Cost,
    Method,
    Option,
    OptionError,
    Reads,
    UnknownMethodError,
    UnsuitableError,
    method,
    methods,
)
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
    "Progress",
    "Rank",
    "Reads",
    "TargetError",
    "UnknownMethodError",
    "UnsuitableError",
    "WarningKind",
    "Watcher",
    "explain",
    "method",
    "methods",
    "normalize",
    "upsample",
]
