"""A service that plays camserve: known answers, and failures to order."""

import threading
from collections.abc import Iterator
from importlib.metadata import version

import grpc
import numpy as np
from grpc_status import rpc_status

from camserve.errors import CamserveError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from camserve.image import read_header
from camserve.v1 import explanation_pb2 as pb
from camserve.v1.explanation_pb2_grpc import ExplanationServiceServicer

LABELS = ("circle", "star", "square")
MAP = np.array([[0, 1], [2, 8]], dtype="<f4")
FIGURES = pb.Faithfulness(average_drop=12.5, average_gain=0, insertion_auc=0.75, deletion_auc=0.125, unseen_share=0.5)
REASONS = (
    pb.Reason(name="star", unit=3, layer="trunk", contribution=1.5),
    pb.Reason(name="small", unit=1, layer="trunk", contribution=0.25),
    pb.Reason(name="ring", unit=4, layer="trunk", contribution=-0.5),
)
"""Why the class is a star; the fake has none for others."""


class FakeService(ExplanationServiceServicer):
    """Knows a classifier, a captioner and an answerer.

    Calls fail first with what ``failures`` holds, Explain then with ``explain_failures``.
    """

    def __init__(self) -> None:
        self.failures: list[CamserveError] = []
        self.explain_failures: list[CamserveError] = []
        self.calls = 0
        self.version = version("camserve")
        self.requests: list[pb.ExplainRequest | pb.PredictRequest] = []
        self.time_remaining = 0.0
        self.blocked = threading.Event()
        self.blocked.set()
        self.steps = threading.Event()
        self.steps.set()
        self.gone = threading.Event()

    def Explain(self, request: pb.ExplainRequest, context: grpc.ServicerContext) -> pb.ExplainResponse:  # noqa: N802
        self._begin(request, context)
        if self.explain_failures:
            self._abort(self.explain_failures.pop(0), context)
        if request.method == "cam":
            self._abort(FailedPreconditionError("cam does not work here", "METHOD_UNSUITABLE", field="method"), context)
        header = read_header(request.image)
        size = pb.ImageSize(height=header.height, width=header.width)
        targets = request.targets or [pb.Target(class_target=pb.ClassTarget(rank=0))]
        return pb.ExplainResponse(
            model=request.model,
            version="1",
            predictions=[_prediction(0, 0.75), _prediction(1, 0.25)],
            explanations=[self._explanation(target, size, request, context) for target in targets],
            image_size=size,
            request_id=request.request_id,
        )

    def Predict(self, request: pb.PredictRequest, context: grpc.ServicerContext) -> pb.PredictResponse:  # noqa: N802
        self._begin(request, context)
        if request.question:
            answer = pb.AnswerPrediction(question=request.question, answer="red", probability=0.5)
            return pb.PredictResponse(model=request.model, predictions=[pb.Prediction(answer=answer)])
        predictions = [_prediction(0, 0.75), _prediction(1, 0.25)]
        return pb.PredictResponse(model=request.model, version="1", predictions=predictions[: request.top_k or 5])

    def ListModels(  # noqa: N802
        self, request: pb.ListModelsRequest, context: grpc.ServicerContext
    ) -> pb.ListModelsResponse:
        self._begin(None, context)
        models = [m for m in MODELS if request.task in (pb.TASK_UNSPECIFIED, m.task)]
        return pb.ListModelsResponse(models=models, server_version=self.version)

    def GetModel(self, request: pb.GetModelRequest, context: grpc.ServicerContext) -> pb.GetModelResponse:  # noqa: N802
        self._begin(None, context)
        model = next((m for m in MODELS if m.name == request.name), None)
        if model is None:
            self._abort(NotFoundError(f"there is no model '{request.name}'", "MODEL_UNKNOWN", field="name"), context)
        return pb.GetModelResponse(model=model)

    def ExplainStream(  # noqa: N802
        self, request_iterator: Iterator[pb.ExplainStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ExplainStreamResponse]:
        """Answers items two by two, the later first; one of an unknown model, or without an image, gets an error."""
        items = iter(request_iterator)
        for item in items:
            for each in (next(items, None), item):
                if each is not None and each.request.model == "unknown":
                    error = NotFoundError("there is no model 'unknown'", "MODEL_UNKNOWN", field="model")
                    yield pb.ExplainStreamResponse(id=each.id, error=error.to_status())
                elif each is not None:
                    try:
                        answer = self.Explain(each.request, context)
                    except InvalidArgumentError as error:  # the image is none
                        yield pb.ExplainStreamResponse(id=each.id, error=error.to_status())
                    else:
                        yield pb.ExplainStreamResponse(id=each.id, response=answer)

    def ExplainProgress(  # noqa: N802
        self, request: pb.ExplainProgressRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExplainProgressResponse]:
        """Tells of two steps; the second waits while ``steps`` is cleared. ``gone`` is set at the end of the call."""
        response = self.Explain(request.request, context)
        context.add_callback(self.gone.set)
        for step in (1, 2):
            heatmaps = [each.heatmap for each in response.explanations] if request.map_every else []
            progress = pb.Progress(step=step, steps=2, objectives=[0.25 * step], heatmaps=heatmaps)
            yield pb.ExplainProgressResponse(progress=progress)
            self.steps.wait()
        yield pb.ExplainProgressResponse(response=response)

    def _begin(self, request: pb.ExplainRequest | pb.PredictRequest | None, context: grpc.ServicerContext) -> None:
        self.calls += 1
        self.time_remaining = context.time_remaining()
        if request is not None:
            self.requests.append(request)
        self.blocked.wait()
        if self.failures:
            self._abort(self.failures.pop(0), context)

    def _explanation(
        self, target: pb.Target, size: pb.ImageSize, request: pb.ExplainRequest, context: grpc.ServicerContext
    ) -> pb.Explanation:
        heatmap = pb.Heatmap(
            height=2,
            width=2,
            data=MAP.tobytes(),
            maximum=8,
            box=pb.Box(left=0, top=0, right=size.width, bottom=size.height),
        )
        resolved = self._resolved(target, context)
        words = resolved.caption.text.split() if target.caption.per_token else []
        return pb.Explanation(
            target=resolved,
            score=4.5,
            heatmap=heatmap,
            tokens=[
                pb.TokenMap(text=word, start=place, end=place + 1, score=-0.25, heatmap=heatmap)
                for place, word in enumerate(words)
            ],
            faithfulness=FIGURES if request.faithfulness else None,
            reasons=REASONS if resolved.class_target.label == "star" else None,
            method=request.method or "grad-cam",
            layers=request.layers or ["trunk"],
        )

    def _resolved(self, target: pb.Target, context: grpc.ServicerContext) -> pb.ResolvedTarget:
        match target.WhichOneof("kind"):
            case "caption":
                text = target.caption.text or "a red circle"
                return pb.ResolvedTarget(caption=pb.ResolvedCaption(text=text), polarity=pb.POLARITY_SUPPORT)
            case "answer":
                answer = pb.ResolvedAnswer(question=target.answer.question, answer="red", probability=0.5)
                return pb.ResolvedTarget(answer=answer, polarity=pb.POLARITY_SUPPORT)
        chosen = target.class_target
        if chosen.label and chosen.label not in LABELS:
            message = f"there is no class '{chosen.label}'; nearest: circle"
            self._abort(InvalidArgumentError(message, "LABEL_UNKNOWN", field="targets[0].class_target.label"), context)
        index = LABELS.index(chosen.label) if chosen.label else chosen.index + chosen.rank
        resolved = pb.ResolvedClass(index=index, label=LABELS[index], probability=0.75)
        return pb.ResolvedTarget(class_target=resolved, polarity=pb.POLARITY_SUPPORT)

    def _abort(self, error: CamserveError, context: grpc.ServicerContext) -> None:
        context.abort_with_status(rpc_status.to_status(error.to_status()))


def _prediction(index: int, probability: float) -> pb.Prediction:
    return pb.Prediction(
        class_prediction=pb.ClassPrediction(index=index, label=LABELS[index], probability=probability, logit=2.5)
    )


MODELS = [
    pb.Model(
        name=f"scenes-{name}",
        version="1",
        default_version=True,
        task=task,
        labels=LABELS,
        input_size=pb.ImageSize(height=112, width=112),
        fit=pb.FIT_STRETCH,
        layers=["stem", "trunk"],
        default_layers=["trunk"],
        methods=[
            pb.Method(id="cam", cost=pb.COST_CLASS_FORWARD),
            pb.Method(id="grad-cam", cost=pb.COST_CLASS_FEW, options=[pb.MethodOption(name="steps", minimum=1)]),
            pb.Method(id="opti-cam", cost=pb.COST_CLASS_MANY),
        ],
        default_method="grad-cam",
        limits=pb.Limits(max_image_bytes=1000, max_targets=16),
        ready=name != "captioner",
        weights=pb.WEIGHTS_TRAINED,
    )
    for name, task in (
        ("answerer", pb.TASK_ANSWER),
        ("captioner", pb.TASK_CAPTION),
        ("classifier", pb.TASK_CLASSIFY),
    )
]
