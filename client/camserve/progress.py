"""How far a slow method is."""

from dataclasses import dataclass, field

from camserve.heatmap import Heatmap
from camserve.image_header import parse_header
from camserve.results import ExplainResult
from camserve.v1 import explanation_pb2 as pb


@dataclass(frozen=True)
class Progress:
    """Where a method stands.

    Attributes:
        step: steps done.
        steps: steps in all, unless something ends them earlier.
        objectives: the best value so far of what the method maximises, per target; none if it maximises nothing.
        heatmaps: the maps so far, one per target, if they were asked for and this event has them.
    """

    step: int
    steps: int
    objectives: tuple[float, ...]
    heatmaps: tuple[Heatmap, ...]
    proto: pb.Progress = field(repr=False, compare=False)

    @classmethod
    def from_proto(cls, proto: pb.Progress, image: bytes) -> "Progress":
        """Takes the progress with an encoded image from an event."""
        heatmaps: tuple[Heatmap, ...] = ()
        if proto.heatmaps:
            header = parse_header(image)
            heatmaps = tuple(Heatmap.from_proto(each, (header.height, header.width)) for each in proto.heatmaps)
        return cls(proto.step, proto.steps, tuple(proto.objectives), heatmaps, proto)


def event(proto: pb.ExplainProgressResponse, image: bytes) -> Progress | ExplainResult:
    """What an event about an encoded image says."""
    if proto.WhichOneof("event") == "progress":
        return Progress.from_proto(proto.progress, image)
    return ExplainResult.from_proto(proto.response, image)
