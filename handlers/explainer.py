"""What all tasks share: reading requests, running the core on them, and telling what came of it."""

import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Generic

import torch
from google.protobuf.duration_pb2 import Duration
from torch import nn

import saliency
from camserve.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from camserve.image import ImageLimits
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.card import card
from handlers.faithfulness import Probabilities, measure_by
from handlers.job import TOP, AskedT, Job
from handlers.messages import duration, heatmap, map_warning, warning
from handlers.pack import Servable
from handlers.preprocessing import Picture, prepare
from handlers.progress import Reporter
from handlers.reasons import Reasons
from handlers.rows import Explained, Explaining, Row, Runner
from model_store.recipe import Recipe
from saliency.choice import last_spatial, spatial_layers
from saliency.targets import Target

_SILENCE = 0.9
"""Share of the response timeout after which a method that can be cut short is: TorchServe restarts a worker that says
nothing for so long."""

Answer = tuple[list[pb.Prediction], list[pb.Explanation]]
"""What a job gets: its predictions, and its explanations if it wants any."""


class Explainer(Servable[Job[AskedT]], Generic[AskedT]):
    """A model that explains itself; a subclass per kind of model says what its targets and predictions are."""

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        device: torch.device,
        *,
        targets: Sequence[Target],
        labels: Sequence[str] = (),
        texts: Mapping[str, Sequence[int]] | None = None,
        pad: int = 0,
        probabilities: Probabilities | None = None,
    ) -> None:
        """Explains once for itself, so that the first caller does not wait for it.

        Args:
            recipe: the model's.
            network: what is explained, on its device.
            device: where it is.
            targets: an example of what is explained of an image.
            labels: of its classes or answers.
            texts: an example of the token ids that the network takes with an image, by the name of its input.
            pad: the token that fills up texts.
            probabilities: of targets; None: it gives none, and its maps cannot be measured.
        """
        normalisation = recipe.preprocessing
        black = [-mean / std for mean, std in zip(normalisation.mean, normalisation.std, strict=True)]
        self.recipe, self.labels, self.device = recipe, tuple(labels), device
        self._reasons = Reasons(recipe)
        self.runner = Runner(network, device, black, pad, self._reasons.layers)
        self._probabilities = probabilities
        self.limits = ImageLimits(
            max_pixels=recipe.limits.max_image_pixels,
            min_side=recipe.limits.min_image_side,
            max_side=recipe.limits.max_image_side,
            max_aspect_ratio=recipe.limits.max_aspect_ratio,
        )
        example = Row(torch.zeros(3, *normalisation.size), targets, texts or {})
        inputs = self.runner.inputs([example])
        with torch.no_grad():
            self.layers = spatial_layers(network, inputs)
            layers = recipe.explanation.layers or (last_spatial(network, inputs).name,)
        self.defaults = Explaining(recipe.explanation.method, layers)
        self.explained(self.defaults, [example])
        self._reasons.check(self.runner, example)
        self.methods = [method for method in saliency.methods() if self._suits(method, example)]

    @abstractmethod
    def asked(self, request: pb.ExplainRequest) -> Sequence[AskedT]:
        """Reads what a request wants explained.

        Raises:
            InvalidArgumentError: a target is not of the model's kind, or means nothing to it.
            FailedPreconditionError: the model cannot explain what is asked.
        """

    @abstractmethod
    def predict(self, jobs: Sequence[Job[AskedT]]) -> list[list[pb.Prediction]]:
        """The predictions for each job, best first."""

    @abstractmethod
    def explain(self, how: Explaining, jobs: Sequence[Job[AskedT]]) -> Iterable[Answer]:
        """The predictions and explanations for each job."""

    def asked_of_prediction(self, request: pb.PredictRequest) -> Sequence[AskedT]:
        """What a request for a prediction asks beside its image; nothing but for models that take questions."""
        return ()

    def describe(self) -> pb.Model:
        """The model's card."""
        return card(self.recipe, self.labels, self.layers, self.defaults.layers, self.methods)

    def read(self, item: wire.Item, arrival: float) -> Job[AskedT]:
        """Reads the targets and decodes the image."""
        if item.WhichOneof("request") == "predict":
            wanted = self.asked_of_prediction(item.predict)
            return Job(*self._picture(item.predict.image), None, wanted, top=item.predict.top_k or TOP)
        request = item.explain
        asked, how = self.asked(request), self._how(request)
        return Job(
            *self._picture(request.image),
            how,
            asked,
            request.polarity == pb.POLARITY_COUNTER,
            arrival=arrival,
            left=item.time_left.ToNanoseconds() / 1e9 if item.HasField("time_left") else float("inf"),
        )

    def run(self, jobs: Sequence[Job[AskedT]], reporter: Reporter | None = None) -> list[wire.ItemResult]:
        """Answers all jobs together, with or without an explanation."""
        start = time.perf_counter()
        how = jobs[0].how
        if how is not None:
            until = min(job.arrival + job.left for job in jobs)
            silence = _SILENCE * self.recipe.worker.response_timeout_s
            if reporter is None:
                how = replace(how, until=min(until, jobs[0].arrival + silence))
            else:
                watcher = partial(reporter.report, box=jobs[0].picture.box)
                how = replace(how, until=until, silence=silence, watcher=watcher)
            answers = list(self.explain(how, jobs))
            spent = duration(time.perf_counter() - start)
            return [
                wire.ItemResult(
                    explain=pb.ExplainResponse(
                        predictions=predictions,
                        explanations=explanations,
                        image_size=job.picture.size,
                        timing=pb.Timing(decode=duration(job.decode_seconds), explain=spent),
                    )
                )
                for job, (predictions, explanations) in zip(jobs, answers, strict=True)
            ]
        predicted = self.predict(jobs)
        spent = duration(time.perf_counter() - start)
        return [
            wire.ItemResult(
                predict=pb.PredictResponse(
                    predictions=predictions,
                    image_size=job.picture.size,
                    timing=pb.Timing(decode=duration(job.decode_seconds), forward=spent),
                )
            )
            for job, predictions in zip(jobs, predicted, strict=True)
        ]

    def explained(self, how: Explaining, rows: Sequence[Row]) -> list[Explained]:
        """Explains rows; what the core refuses becomes an error of the request."""
        try:
            return self.runner.explain(how, rows)
        except saliency.UnsuitableError as error:
            raise FailedPreconditionError(str(error), "METHOD_UNSUITABLE", field="method") from error
        except saliency.OptionError as error:
            raise InvalidArgumentError(str(error), "OPTION_INVALID", field="options") from error
        except saliency.TargetError as error:
            raise InvalidArgumentError(str(error), "TARGET_INVALID", field="targets") from error
        except saliency.LayerError as error:
            there = set(how.layers) <= set(self.layers)
            fault = FailedPreconditionError if there else InvalidArgumentError
            raise fault(str(error), "LAYER_UNSUITABLE" if there else "LAYER_UNKNOWN", field="layers") from error

    def explanation(
        self,
        explained: Explained,
        place: int,
        target: pb.ResolvedTarget,
        picture: Picture,
        *,
        unknown: Sequence[str] = (),
        tokens: Sequence[pb.TokenMap] = (),
    ) -> pb.Explanation:
        """One target's map as a message.

        Args:
            explained: what came of its row.
            place: of the target in the row.
            target: what it came to, but for the polarity.
            picture: that was explained.
            unknown: words of the target that the model does not know.
            tokens: maps of its words.
        """
        target.polarity = pb.POLARITY_COUNTER if explained.counter else pb.POLARITY_SUPPORT
        return pb.Explanation(
            target=target,
            score=explained.scores[place],
            heatmap=heatmap(explained.maps[place], picture.box),
            tokens=tokens,
            faithfulness=explained.faithfulness[place] if explained.faithfulness else None,
            reasons=self._reasons.of(explained, place),
            method=explained.method,
            layers=explained.layers,
            steps_done=explained.steps_done[place] if explained.steps_done else None,
            warnings=self._warnings(explained, place, unknown),
        )

    def _suits(self, method: type[saliency.Method], example: Row) -> bool:
        if method.told_by_running:
            try:
                self.runner.explain(Explaining(method.id, self.defaults.layers), [example])
            except saliency.UnsuitableError:
                return False
        return method.unsuitable(self.runner.network) is None

    def _how(self, request: pb.ExplainRequest) -> Explaining:
        try:
            method = saliency.method(request.method or self.defaults.method)
        except saliency.UnknownMethodError as error:
            raise NotFoundError(str(error), "METHOD_UNKNOWN", field="method") from error
        return Explaining(
            method.id,
            tuple(request.layers) or (self.defaults.layers if method.reads is saliency.Reads.LAST else ()),
            tuple((option.name, _plain(value)) for option, value in request.options.ListFields()),
            words=any(target.caption.per_token for target in request.targets),
            probabilities=measure_by(self._probabilities) if request.faithfulness else None,
        )

    def _picture(self, image: bytes) -> tuple[Picture, float]:
        start = time.perf_counter()
        picture = prepare(image, self.recipe.preprocessing, self.limits)
        return picture, time.perf_counter() - start

    def _warnings(self, explained: Explained, place: int, unknown: Sequence[str]) -> list[pb.Warning]:
        method = saliency.method(explained.method)
        beware = {
            pb.WARNING_CODE_CLASS_AGNOSTIC: method.class_agnostic,
            pb.WARNING_CODE_SANITY_FAILING_METHOD: method.sanity_failing,
            pb.WARNING_CODE_RANDOM_WEIGHTS: self.recipe.weights.random,
            pb.WARNING_CODE_UNKNOWN_WORDS: bool(unknown),
            pb.WARNING_CODE_NOT_MEASURED: explained.faithfulness[place : place + 1] == (None,),
        }
        found = [map_warning(kind) for kind in explained.warnings[place]]
        return found + [warning(code, ", ".join(unknown)) for code, holds in beware.items() if holds]


def _plain(value: Any) -> Any:
    """An option's value as methods take it: durations in seconds."""
    return value.ToNanoseconds() / 1e9 if isinstance(value, Duration) else value
