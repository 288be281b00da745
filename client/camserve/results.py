"""What the server answers, as Python values over the messages of ``camserve.v1``, which are kept in ``proto``."""

from dataclasses import dataclass, field

from camserve.explanation import Explanation
from camserve.prediction import Prediction
from camserve.v1 import explanation_pb2 as pb


@dataclass(frozen=True)
class Timing:
    """Where the time of a request went on the server, in seconds; see ``camserve.v1.Timing``."""

    queue: float
    decode: float
    forward: float
    explain: float
    render: float
    total: float
    upstream: float
    pack_size: int

    @classmethod
    def from_proto(cls, proto: pb.Timing) -> "Timing":
        """Takes the timing from a response."""
        stages = ("queue", "decode", "forward", "explain", "render", "total", "upstream")
        seconds = {stage: getattr(proto, stage).ToTimedelta().total_seconds() for stage in stages}
        return cls(**seconds, pack_size=proto.pack_size)


@dataclass(frozen=True)
class PredictResult:
    """The prediction alone, best first; ``image_size`` is height and width after EXIF orientation."""

    model: str
    version: str
    predictions: tuple[Prediction, ...]
    timing: Timing
    image_size: tuple[int, int]
    request_id: str
    proto: pb.PredictResponse = field(repr=False, compare=False)

    @classmethod
    def from_proto(cls, proto: pb.PredictResponse) -> "PredictResult":
        """Takes the result from a response."""
        return cls(
            model=proto.model,
            version=proto.version,
            predictions=tuple(map(Prediction.from_proto, proto.predictions)),
            timing=Timing.from_proto(proto.timing),
            image_size=(proto.image_size.height, proto.image_size.width),
            request_id=proto.request_id,
            proto=proto,
        )

    @property
    def prediction(self) -> Prediction:
        """The best prediction."""
        return self.predictions[0]


@dataclass(frozen=True)
class ExplainResult:
    """The prediction and the explanations, one for each target in the order of the request.

    ``image_size`` is height and width after EXIF orientation.
    """

    model: str
    version: str
    predictions: tuple[Prediction, ...]
    explanations: tuple[Explanation, ...]
    timing: Timing
    image_size: tuple[int, int]
    request_id: str
    proto: pb.ExplainResponse = field(repr=False, compare=False)

    @classmethod
    def from_proto(cls, proto: pb.ExplainResponse, image: bytes) -> "ExplainResult":
        """Takes the result for an encoded image from a response."""
        image_size = (proto.image_size.height, proto.image_size.width)
        return cls(
            model=proto.model,
            version=proto.version,
            predictions=tuple(map(Prediction.from_proto, proto.predictions)),
            explanations=tuple(Explanation.from_proto(each, image, image_size) for each in proto.explanations),
            timing=Timing.from_proto(proto.timing),
            image_size=image_size,
            request_id=proto.request_id,
            proto=proto,
        )

    @property
    def prediction(self) -> Prediction:
        """The model's best prediction, whatever the targets were."""
        return self.predictions[0]

    @property
    def explanation(self) -> Explanation:
        """The explanation of the first target."""
        return self.explanations[0]
