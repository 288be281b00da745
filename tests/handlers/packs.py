"""Packs as the gateway sends them, and what comes back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from google.rpc import code_pb2

from camserve.errors import CamserveError, from_status
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.explainer import Explainer
from handlers.pack import answer

Request = pb.ExplainRequest | pb.PredictRequest


def send(servable: Explainer[Any], *requests: Request) -> list[wire.ItemResult]:
    items = [
        wire.Item(explain=request) if isinstance(request, pb.ExplainRequest) else wire.Item(predict=request)
        for request in requests
    ]
    return list(reply(servable, wire.Pack(items=wire.Items(items=items)).SerializeToString()).items.results)


def reply(servable: Explainer[Any], pack: bytes) -> wire.PackResult:
    """The reply to a pack that is not watched."""

    def send(_part: bytes) -> None:
        raise AssertionError("nobody watches")

    return wire.PackResult.FromString(answer(servable, pack, send))


def watched(servable: Explainer[Any], work: wire.Watched) -> tuple[list[pb.Progress], wire.ItemResult]:
    """The progress of a watched request, and its result."""
    parts: list[bytes] = []
    last = answer(servable, wire.Pack(watched=work).SerializeToString(), parts.append)
    (result,) = wire.PackResult.FromString(last).items.results
    return [wire.PackResult.FromString(part).progress for part in parts], result


def explained(servable: Explainer[Any], request: pb.ExplainRequest) -> pb.ExplainResponse:
    (result,) = send(servable, request)
    assert result.WhichOneof("result") == "explain", result.error.message
    return result.explain


def predicted(servable: Explainer[Any], request: pb.PredictRequest) -> pb.PredictResponse:
    (result,) = send(servable, request)
    assert result.WhichOneof("result") == "predict", result.error.message
    return result.predict


def refused(servable: Explainer[Any], request: Request) -> CamserveError:
    (result,) = send(servable, request)
    assert result.WhichOneof("result") == "error"
    assert result.error.code != code_pb2.INTERNAL, result.error.message
    return from_status(result.error)


def values(heatmap: pb.Heatmap) -> npt.NDArray[np.float32]:
    return np.frombuffer(heatmap.data, "<f4").reshape(heatmap.height, heatmap.width)


def assert_same(together: pb.ExplainResponse, alone: pb.ExplainResponse) -> None:
    """Two responses that may differ in the time they took and in how sums were rounded."""
    for a, b in zip(together.explanations, alone.explanations, strict=True):
        assert a.target.WhichOneof("kind") == b.target.WhichOneof("kind")
        assert a.target.caption == b.target.caption
        assert a.target.answer.answer == b.target.answer.answer
        assert a.target.class_target.label == b.target.class_target.label
        np.testing.assert_allclose(a.score, b.score, rtol=1e-4, atol=1e-5)
        maps = zip(
            [a.heatmap, *[t.heatmap for t in a.tokens]], [b.heatmap, *[t.heatmap for t in b.tokens]], strict=True
        )
        for own, others in maps:
            np.testing.assert_allclose(values(own), values(others), rtol=1e-3, atol=1e-6)
        assert a.HasField("faithfulness") == b.HasField("faithfulness")
        for name in pb.Faithfulness.DESCRIPTOR.fields_by_name:
            one, other = (getattr(each.faithfulness, name) for each in (a, b))
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4, err_msg=name)
        words = [[(token.text, token.start, token.end) for token in e.tokens] for e in (a, b)]
        assert words[0] == words[1]


@contextmanager
def encoder_runs(servable: Explainer[Any]) -> Iterator[list[int]]:
    """Notes the batch of each run of the network's encoder."""
    noted: list[int] = []
    encoder = servable.runner.network.get_submodule("encoder")
    handle = encoder.register_forward_hook(lambda _module, inputs, _output: noted.append(len(inputs[0])))
    yield noted
    handle.remove()
