"""A classifier that explains itself."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from google.protobuf.duration_pb2 import Duration
from torch import Tensor

import saliency
from camserve.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from camserve.image import ImageLimits
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.card import card
from handlers.messages import class_predictions, duration, heatmap, map_warning, warning
from handlers.network import labels_of, load_network
from handlers.pack import Servable
from handlers.preprocessing import Picture, prepare
from handlers.targets import class_targets, resolved_class
from model_store.recipe import Recipe, RecipeError, load_recipe
from saliency.capture import scores_of
from saliency.choice import last_spatial, spatial_layers
from saliency.targets import Target

TOP = 5
"""Predictions returned unless a request says otherwise."""


@dataclass(frozen=True)
class Explaining:
    """How jobs are explained together: what a run of the core takes beside images and targets.

    Attributes:
        method: its id.
        layers: dotted names; none: the method's own choice.
        options: names and values.
    """

    method: str
    layers: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class ClassifierJob:
    """One request, read.

    Attributes:
        picture: its image.
        decode_seconds: what reading it took.
        group: how to explain; None if only the prediction is wanted.
        targets: what to explain; empty likewise.
        top: predictions wanted.
    """

    picture: Picture
    decode_seconds: float
    group: Explaining | None
    targets: Sequence[Target] = ()
    top: int = TOP


class Classifier(Servable[ClassifierJob]):
    """The servable of task ``classify``."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Loads a model's folder and answers once for itself, so that the first caller does not wait for it.

        Raises:
            RecipeError: the folder cannot be served; the message says why.
        """
        recipe = load_recipe(folder)
        self.recipe: Recipe = recipe
        self.device = device
        self.network = load_network(recipe, folder, device)
        blank = torch.zeros(1, 3, *recipe.preprocessing.size, device=device)
        with torch.no_grad():
            logits = scores_of(self.network(blank))
            self.layers = spatial_layers(self.network, blank)
            last = last_spatial(self.network, blank).name
        self.labels = labels_of(recipe, self.network) or tuple(f"class {i}" for i in range(logits.shape[-1]))
        if logits.shape != (1, len(self.labels)):
            raise RecipeError(
                f"labels: there are {len(self.labels)}, but the network gives {list(logits.shape)} for one image"
            )
        self.index_of = {label.casefold(): index for index, label in enumerate(self.labels)}
        self.defaults = Explaining(recipe.explanation.method, recipe.explanation.layers or (last,), ())
        self.limits = ImageLimits(
            max_pixels=recipe.limits.max_image_pixels,
            min_side=recipe.limits.min_image_side,
            max_side=recipe.limits.max_image_side,
            max_aspect_ratio=recipe.limits.max_aspect_ratio,
        )
        self._found(self.defaults, blank, [[saliency.Rank(0)]])
        self.methods = [method for method in saliency.methods() if self._suits(method, blank)]

    def describe(self) -> pb.Model:
        """The model's card."""
        return card(self.recipe, self.labels, self.layers, self.defaults.layers, self.methods)

    def read(self, item: wire.Item) -> ClassifierJob:
        """Reads the targets and decodes the image."""
        if item.WhichOneof("request") == "predict":
            return ClassifierJob(*self._picture(item.predict.image), group=None, top=item.predict.top_k or TOP)
        request = item.explain
        targets = class_targets(request, self.index_of)
        method = _method(request.method or self.defaults.method)
        group = Explaining(
            method.id,
            tuple(request.layers) or (self.defaults.layers if method.reads is saliency.Reads.LAST else ()),
            tuple((field.name, _plain(value)) for field, value in request.options.ListFields()),
        )
        return ClassifierJob(*self._picture(request.image), group=group, targets=targets)

    def run(self, group: Hashable, jobs: Sequence[ClassifierJob]) -> list[wire.ItemResult]:
        """One forward for all jobs, with or without an explanation."""
        batch = torch.stack([job.picture.tensor for job in jobs]).to(self.device)
        if not isinstance(group, Explaining):
            return self._predict(jobs, batch)
        return self._explain(group, jobs, batch)

    def _suits(self, method: type[saliency.Method], blank: Tensor) -> bool:
        if method.told_by_running:
            try:
                saliency.explain(self.network, blank, [0], method.id, list(self.defaults.layers))
            except saliency.UnsuitableError:
                return False
        return method.unsuitable(self.network) is None

    def _picture(self, image: bytes) -> tuple[Picture, float]:
        start = time.perf_counter()
        picture = prepare(image, self.recipe.preprocessing, self.limits)
        return picture, time.perf_counter() - start

    def _predict(self, jobs: Sequence[ClassifierJob], batch: Tensor) -> list[wire.ItemResult]:
        start = time.perf_counter()
        with torch.inference_mode():
            logits = scores_of(self.network(batch)).float().cpu()
        seconds = time.perf_counter() - start
        return [
            wire.ItemResult(
                predict=pb.PredictResponse(
                    predictions=class_predictions(row, self.labels, job.top),
                    image_size=job.picture.size,
                    timing=pb.Timing(decode=duration(job.decode_seconds), forward=duration(seconds)),
                )
            )
            for job, row in zip(jobs, logits, strict=True)
        ]

    def _explain(self, group: Explaining, jobs: Sequence[ClassifierJob], batch: Tensor) -> list[wire.ItemResult]:
        # Every image of a run has the same number of targets; the fillers' maps are dropped.
        count = max(len(job.targets) for job in jobs)
        targets = [[*job.targets, *[job.targets[-1]] * (count - len(job.targets))] for job in jobs]
        start = time.perf_counter()
        found = self._found(group, batch, targets)
        maps, scores, logits = found.maps.cpu(), found.scores.cpu(), found.outputs.float().cpu()
        seconds = time.perf_counter() - start
        results = []
        for place, job in enumerate(jobs):
            probabilities = torch.softmax(logits[place], 0)
            explanations = [
                pb.Explanation(
                    target=resolved_class(target, probabilities, self.labels),
                    score=(-1 if isinstance(target, saliency.Counter) else 1) * scores[place, k].item(),
                    heatmap=heatmap(maps[place, k], job.picture.box),
                    method=found.method,
                    layers=found.layers,
                    warnings=self._warnings(found, place, k),
                )
                for k, target in enumerate(found.targets[place][: len(job.targets)])
            ]
            response = pb.ExplainResponse(
                predictions=class_predictions(logits[place], self.labels, TOP),
                explanations=explanations,
                image_size=job.picture.size,
                timing=pb.Timing(decode=duration(job.decode_seconds), explain=duration(seconds)),
            )
            results.append(wire.ItemResult(explain=response))
        return results

    def _found(self, group: Explaining, batch: Tensor, targets: list[list[Target]]) -> saliency.Explanation:
        try:
            return saliency.explain(
                self.network, batch, targets, group.method, list(group.layers) or None, **dict(group.options)
            )
        except saliency.UnsuitableError as error:
            raise FailedPreconditionError(str(error), "METHOD_UNSUITABLE", field="method") from error
        except saliency.OptionError as error:
            raise InvalidArgumentError(str(error), "OPTION_INVALID", field="options") from error
        except saliency.TargetError as error:
            raise InvalidArgumentError(str(error), "TARGET_INVALID", field="targets") from error
        except saliency.LayerError as error:
            there = set(group.layers) <= set(self.layers)
            fault = FailedPreconditionError if there else InvalidArgumentError
            raise fault(str(error), "LAYER_UNSUITABLE" if there else "LAYER_UNKNOWN", field="layers") from error

    def _warnings(self, found: saliency.Explanation, image: int, target: int) -> list[pb.Warning]:
        method = saliency.method(found.method)
        codes = [w.kind for w in found.warnings if (w.image, w.target) == (image, target)]
        beware = {
            pb.WARNING_CODE_CLASS_AGNOSTIC: method.class_agnostic,
            pb.WARNING_CODE_SANITY_FAILING_METHOD: method.sanity_failing,
            pb.WARNING_CODE_RANDOM_WEIGHTS: self.recipe.weights.random,
        }
        return [map_warning(kind) for kind in codes] + [warning(code) for code, holds in beware.items() if holds]


def _method(name: str) -> type[saliency.Method]:
    try:
        return saliency.method(name)
    except saliency.UnknownMethodError as error:
        raise NotFoundError(str(error), "METHOD_UNKNOWN", field="method") from error


def _plain(value: Any) -> Any:
    """An option's value as methods take it: durations in seconds."""
    return value.ToNanoseconds() / 1e9 if isinstance(value, Duration) else value
