import pytest

from camserve.v1 import explanation_pb2 as pb
from gateway.admission.cost import explaining

FORWARD = pb.Method(id="grad-cam", cost=pb.COST_CLASS_FORWARD)
FEW = pb.Method(id="full-grad", cost=pb.COST_CLASS_FEW)
SEARCH = pb.Method(
    id="opti-cam",
    cost=pb.COST_CLASS_MANY,
    options=[pb.MethodOption(name="steps", default_value="100"), pb.MethodOption(name="learning_rate")],
)
CHANNELS = pb.Method(
    id="is-cam",
    cost=pb.COST_CLASS_MANY,
    options=[
        pb.MethodOption(name="max_channels", default_value="0"),
        pb.MethodOption(name="samples", default_value="10"),
    ],
)
PLAIN = pb.Method(id="recipro-cam", cost=pb.COST_CLASS_MANY)


@pytest.mark.parametrize(
    ("method", "options", "targets", "expected"),
    [
        (FORWARD, pb.MethodOptions(), 0, 1),
        (FORWARD, pb.MethodOptions(), 4, 1),
        (FEW, pb.MethodOptions(), 4, 4),
        (SEARCH, pb.MethodOptions(), 0, 100),
        (SEARCH, pb.MethodOptions(steps=7), 3, 21),
        (CHANNELS, pb.MethodOptions(), 1, 640),
        (CHANNELS, pb.MethodOptions(max_channels=5, samples=2), 1, 10),
        (PLAIN, pb.MethodOptions(), 2, 128),
    ],
)
def test_the_cost_of_a_method(method: pb.Method, options: pb.MethodOptions, targets: int, expected: int) -> None:
    request = pb.ExplainRequest(targets=[pb.Target()] * targets, options=options)
    assert explaining(request, method) == expected


def test_measuring_costs_for_every_map() -> None:
    request = pb.ExplainRequest(targets=[pb.Target()] * 2, faithfulness=True)
    assert explaining(request, FORWARD) == 1 + 2 * 38
