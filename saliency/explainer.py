"""The one entry: images, targets and a method in, an explanation out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import saliency.families  # noqa: F401  (registers the methods)
from saliency.capture import Inputs
from saliency.contributions import contributions as contributions_of
from saliency.explanation import Explanation, MapWarning, WarningKind
from saliency.layers import LayersLike
from saliency.maps import settle
from saliency.picture import picture_of
from saliency.progress import Progress, Watcher
from saliency.registry import Evidence, Problem, UnsuitableError, build
from saliency.targets import Targets, TargetsLike


def explain(
    model: nn.Module,
    images: Inputs,
    targets: TargetsLike = None,
    method: str = "grad-cam",
    layers: LayersLike = None,
    *,
    black: Sequence[float] | None = None,
    progress: Watcher | None = None,
    contributions: Collection[str] = (),
    **options: Any,
) -> Explanation:
    """Explains a model's scores for a batch of images.

    The model is left as it was found, whatever happens: no hooks, no gradients, no changed flags. Several threads may
    explain one model at once. Works under ``no_grad`` and ``inference_mode`` and with frozen parameters.

    Args:
        model: in evaluation mode.
        images: ``[B, 3, H, W]`` floats as the model takes them, or a mapping of named inputs.
        targets: per image one target or a list of K, each a class index or a callable from one sample's output to a
            scalar; None for each image's top class. See :mod:`saliency.targets`.
        method: id or alias of a method; see :func:`saliency.methods`.
        layers: dotted names or modules to read from; None for the last spatial output before pooling.
        black: what a black pixel is to the model, one value per channel: ``-mean / std`` of its normalisation. Methods
            that look at the image through a mask need it to darken pixels; None if it is not known.
        progress: is told of each step of an iterative method, and may end it; see :mod:`saliency.progress`.
        contributions: names of layers; of those that the method reads, each channel's contribution to the scores is
            told too. See :mod:`saliency.contributions` for what it means and costs.
        **options: the method's own knobs.

    Returns:
        The maps and what belongs to them.

    Raises:
        TargetError: the targets do not fit the batch or the model's classes.
        LayerError: a layer does not exist or cannot be explained.
        UnknownMethodError: the method is not known.
        UnsuitableError: the method does not work on this model.
        OptionError: an option is not known or not allowed.
        ValueError: the batch is empty, black does not fit the images, or the model is in training mode.
    """
    how = build(method, options)
    model = getattr(model, "_orig_mod", model)  # a compiled model ignores hooks; the original shares its weights
    if model.training:
        raise ValueError(
            "the model is in training mode, so a batch would not give what single images give; call eval()"
        )
    obstacle = how.unsuitable(model)
    if obstacle:
        raise UnsuitableError(f"{how.id} does not work on this model: {obstacle}")
    wanted = Targets.parse(targets, _batch_size(images))
    # The caller may be in inference_mode, where no graph can be had; leaving it copies the inputs made in it.
    with torch.inference_mode(False), torch.no_grad():
        inputs = plain(images)
        chosen = how.layers(model, layers, inputs)
        watcher = None if progress is None else partial(_show, progress, single=wanted.single, clip=how.clip)
        problem = Problem(model, inputs, wanted, chosen, _per_channel(black, inputs), watcher)
        evidence = how.explain(problem)
        maps, warnings = settle(evidence.maps, clip=how.clip)
        scores = evidence.targets.score(evidence.outputs).float()
        shares = contributions_of(problem, evidence, contributions)
    single = wanted.single
    return Explanation(
        maps=_shaped(maps, single),
        scores=_shaped(scores, single),
        outputs=evidence.outputs,
        targets=evidence.targets.rows,
        layers=tuple(layer.name for layer in chosen),
        method=how.id,
        warnings=warnings + _cut_short(evidence),
        steps_done=_shaped(evidence.steps_done, single),
        contributions={name: _shaped(values, single) for name, values in shares.items()},
    )


_Values = TypeVar("_Values", Tensor, Tensor | None)


def _shaped(values: _Values, single: bool) -> _Values:
    """Values ``[B, K, ...]``, or ``[B, ...]`` if each image was given a single target."""
    return values.squeeze(1) if single and values is not None else values


def _show(watcher: Watcher, raw: Progress, *, single: bool, clip: bool) -> bool | None:
    """Shows a watcher how far a method is, with maps as they will be in the explanation."""

    def maps() -> Tensor:
        return _shaped(settle(raw.maps(), clip=clip)[0], single)

    return watcher(replace(raw, objectives=_shaped(raw.objectives, single), maps=maps))


def _cut_short(evidence: Evidence) -> tuple[MapWarning, ...]:
    if evidence.cut_short is None:
        return ()
    return tuple(MapWarning(WarningKind.BUDGET_EXHAUSTED, *place) for place in evidence.cut_short.nonzero().tolist())


def _per_channel(black: Sequence[float] | None, inputs: Inputs) -> Tensor | None:
    """``[C, 1, 1]``, like the images."""
    if black is None:
        return None
    _, pictures = picture_of(inputs)
    if len(black) != pictures.shape[1]:
        raise ValueError(f"black has {len(black)} values, but images have {pictures.shape[1]} channels; give one each")
    return pictures.new_tensor(black)[:, None, None]


def plain(images: Inputs) -> Inputs:
    """The inputs as tensors that autograd accepts."""
    if isinstance(images, Mapping):
        return {name: value.clone() if value.is_inference() else value for name, value in images.items()}
    return images.clone() if images.is_inference() else images


def _batch_size(inputs: Inputs) -> int:
    tensor: Tensor = next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs
    if tensor.dim() == 0 or len(tensor) == 0:
        raise ValueError(f"images has shape {list(tensor.shape)}; it needs a first dimension of at least one image")
    return len(tensor)
