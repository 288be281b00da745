"""Refusing, before it waits or costs anything, what cannot be answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from camserve.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from camserve.image import ImageHeader, ImageLimits, read_header
from camserve.v1 import explanation_pb2 as pb
from gateway.admission import cost, options, outputs, targets
from gateway.admission.fault import Faults, fault, raise_if_any
from gateway.admission.ids import identifier
from gateway.admission.nearest import hint, shown
from gateway.card import Card
from gateway.catalog import Catalog
from gateway.fleet import ServedModel
from gateway.settings import GatewaySettings
from gateway.upstream import RETRY_AFTER

Request = pb.ExplainRequest | pb.PredictRequest

_MAX_TOP_K = 100


@dataclass(frozen=True)
class Admitted:
    """A request that may wait for a worker.

    Attributes:
        served: the model that will answer it.
        card: the model's description.
        method: id of the method; empty where nothing is explained.
        cost: of answering it, in forwards of the model, about.
    """

    served: ServedModel
    card: Card
    method: str
    cost: int


class Admission:
    """Checks requests against the models' descriptions.

    An unknown model or method is refused at once; all else that is wrong is named in one answer, and comes before
    whether the model can answer just now.
    """

    def __init__(self, catalog: Catalog, settings: GatewaySettings) -> None:
        self._catalog = catalog
        self._settings = settings

    def explain(self, request: pb.ExplainRequest) -> Admitted:
        """Admits a request for an explanation.

        Raises:
            CamserveError: it is refused; the message says why and what to do.
        """
        served, card = self._model(request)
        method = self._method(request.method, card)
        image = _Image(request.image, card.image_limits)
        raise_if_any(
            chain(
                _request_id(request.request_id),
                image.faults(),
                targets.targets(request, card),
                _layers(request.layers, card),
                _polarity(request.polarity),
                options.options(request.options, method),
                outputs.renderings(request.output),
                image.then(lambda header: outputs.volume(request, header, card, self._settings.max_response_bytes)),
            )
        )
        _refuse_unready(served)
        return Admitted(served, card, method.id, cost.explaining(request, method))

    def predict(self, request: pb.PredictRequest) -> Admitted:
        """Admits a request for a prediction.

        Raises:
            CamserveError: it is refused; the message says why and what to do.
        """
        served, card = self._model(request)
        image = _Image(request.image, card.image_limits)
        raise_if_any(
            chain(
                _request_id(request.request_id),
                image.faults(),
                _top_k(request, card),
                _question(request.question, card),
            )
        )
        _refuse_unready(served)
        return Admitted(served, card, method="", cost=1)

    def _model(self, request: Request) -> tuple[ServedModel, Card]:
        if not request.model:
            missing = fault("model", "MODEL_REQUIRED", "is empty; name a model, as ListModels gives it")
            limits = ImageLimits(max_bytes=self._settings.max_image_bytes)
            raise_if_any(chain([missing], _Image(request.image, limits).faults(), _request_id(request.request_id)))
        served = self._catalog.find(request.model, request.version)
        if served.card is None:
            raise _not_ready(served)
        return served, served.card

    def _method(self, name: str, card: Card) -> pb.Method:
        method = card.method(name)
        if method is not None:
            return method
        if self._catalog.knows_method(name):
            text = f"method: {name} does not work on model {card.model.name}; choose one of its methods in GetModel"
            raise FailedPreconditionError(text, "METHOD_NOT_SUPPORTED", field="method")
        text = f"method: there is no method {shown(name)}{hint(name, card.method_names)}"
        raise NotFoundError(text, "METHOD_UNKNOWN", field="method")


class _Image:
    """A request's image, whose header several rules need and one reads."""

    def __init__(self, data: bytes, limits: ImageLimits) -> None:
        self._data = data
        self._limits = limits
        self._header: ImageHeader | None = None

    def faults(self) -> Faults:
        try:
            self._header = read_header(self._data, self._limits)
        except InvalidArgumentError as error:
            yield error

    def then(self, rule: Callable[[ImageHeader], Faults]) -> Faults:
        """Applies a rule that needs the header, if it could be read."""
        if self._header is not None:
            yield from rule(self._header)


def _request_id(value: str) -> Faults:
    return identifier(value, "request_id", "REQUEST_ID_INVALID")


def _layers(layers: Sequence[str], card: Card) -> Faults:
    limit = card.model.limits.max_layers
    if len(layers) > limit:
        yield fault("layers", "TOO_MANY_LAYERS", f"has {len(layers)} entries; name {limit} at most")
        return
    for place, layer in enumerate(layers):
        field = f"layers[{place}]"
        if layer not in card.model.layers:
            yield fault(
                field, "LAYER_UNKNOWN", f"is no layer of the model: {shown(layer)}{hint(layer, card.model.layers)}"
            )
        elif layer in layers[:place]:
            yield fault(field, "LAYER_REPEATED", f"is {shown(layer)}, which came before; name each layer once")


def _polarity(value: int) -> Faults:
    if value not in pb.Polarity.values():
        yield fault("polarity", "POLARITY_UNKNOWN", f"is {value}; choose POLARITY_SUPPORT or POLARITY_COUNTER")


def _top_k(request: pb.PredictRequest, card: Card) -> Faults:
    if not request.HasField("top_k"):
        return
    if card.model.task == pb.TASK_CAPTION:
        yield fault("top_k", "TOP_K_NOT_APPLICABLE", "has no meaning for a captioner; leave it out")
    elif not 1 <= request.top_k <= _MAX_TOP_K:
        yield fault("top_k", "TOP_K_OUT_OF_BOUNDS", f"is {request.top_k}; choose 1 to {_MAX_TOP_K}")


def _question(value: str, card: Card) -> Faults:
    if card.model.task == pb.TASK_ANSWER:
        yield from targets.question(value, "question", card)
    elif value:
        yield fault(
            "question", "QUESTION_NOT_APPLICABLE", f"is for answerers; the model's task is {card.task}: leave it out"
        )


def _refuse_unready(served: ServedModel) -> None:
    if not served.ready:
        raise _not_ready(served)


def _not_ready(served: ServedModel) -> UnavailableError:
    state = "is still loading" if served.card is None else "has no worker that can answer now"
    return UnavailableError(
        f"model {served.ref.name} {state}; try again later", "MODEL_NOT_READY", retry_after=RETRY_AFTER
    )
