"""Watched requests: what the caller is told on the way, and how they end."""

from collections.abc import Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from google.protobuf.duration_pb2 import Duration
from ts.service import Service

from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers import progress
from handlers.answer import AnswerHandler
from handlers.caption import CaptionHandler
from handlers.classifier import Classifier
from handlers.explainer import Explainer
from handlers.progress import Reporter, Stand
from handlers.worker import PACK, WorkerHandler
from tests.handlers.conftest import FolderFactory, png, scenes_folder
from tests.handlers.packs import reply, send, values, watched

CPU = torch.device("cpu")


@pytest.fixture
def classifier(folder: FolderFactory) -> Classifier:
    return Classifier(folder(), CPU)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step is told of."""
    monkeypatch.setattr(progress, "INTERVAL", 0.0)


def _classes(*indices: int) -> list[pb.Target]:
    return [pb.Target(class_target=pb.ClassTarget(index=index)) for index in indices]


def _request(targets: Sequence[pb.Target] = (), steps: int = 6, method: str = "opti-cam") -> pb.ExplainRequest:
    options = pb.MethodOptions(steps=steps) if method == "opti-cam" else None
    return pb.ExplainRequest(image=png(), method=method, targets=targets, options=options)


def _watch(
    servable: Explainer[Any], request: pb.ExplainRequest, **asked: Any
) -> tuple[list[pb.Progress], pb.ExplainResponse]:
    events, result = watched(servable, wire.Watched(item=wire.Item(explain=request), **asked))
    assert result.WhichOneof("result") == "explain", result.error.message
    return events, result.explain


@pytest.mark.usefixtures("at_once")
def test_each_step_is_told_and_the_result_is_that_of_a_request_that_is_not_watched(classifier: Classifier) -> None:
    request = _request(_classes(2, 0))
    events, response = _watch(classifier, request)
    assert [event.step for event in events] == list(range(7))
    assert {event.steps for event in events} == {6}
    objectives = np.array([event.objectives for event in events])
    assert objectives.shape == (7, 2)
    assert (np.diff(objectives, axis=0) >= 0).all()
    assert not any(event.heatmaps for event in events)
    (alone,) = send(classifier, request)
    for a, b in zip(response.explanations, alone.explain.explanations, strict=True):
        np.testing.assert_array_equal(values(a.heatmap), values(b.heatmap))
        assert (a.target, a.steps_done) == (b.target, b.steps_done)


@pytest.mark.usefixtures("at_once")
def test_maps_come_every_so_many_steps_and_the_last_is_the_results(classifier: Classifier) -> None:
    events, response = _watch(classifier, _request(_classes(2, 0)), map_every=3)
    assert [event.step for event in events if event.heatmaps] == [0, 3, 6]
    for k, explanation in enumerate(response.explanations):
        np.testing.assert_array_equal(values(events[6].heatmaps[k]), values(explanation.heatmap))
        assert events[6].heatmaps[k].box == explanation.heatmap.box


def test_a_method_without_steps_gives_its_result_alone(classifier: Classifier) -> None:
    events, response = _watch(classifier, _request(method="grad-cam"), map_every=1)
    assert events == []
    assert response.explanations


def test_an_item_at_fault_gets_its_error(classifier: Classifier) -> None:
    events, result = watched(classifier, wire.Watched(item=wire.Item(explain=_request(_classes(99)))))
    assert events == []
    assert result.WhichOneof("result") == "error"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("name", "load", "targets"),
    [
        (
            "scenes-captioner",
            CaptionHandler.load,
            [pb.Target(caption=pb.CaptionTarget(text=text, per_token=True)) for text in ("a red circle", "a star")],
        ),
        (
            "scenes-vqa",
            AnswerHandler.load,
            [
                pb.Target(answer=pb.AnswerTarget(question=question, answer=answer))
                for question, answer in (
                    ("what colour is the circle?", "red"),
                    ("how many stars are there?", ""),
                    ("what colour is the circle?", "blue"),
                )
            ],
        ),
    ],
)
def test_progress_has_the_targets_of_the_request_in_their_order(
    tmp_path: Path, name: str, load: Any, targets: list[pb.Target]
) -> None:
    servable = load(scenes_folder(name, tmp_path / "one"), CPU)
    events, response = _watch(servable, _request(targets, steps=2), map_every=1)
    assert len(response.explanations) == len(targets)
    assert [len(event.objectives) for event in events] == [len(targets)] * 3
    for k, explanation in enumerate(response.explanations):
        np.testing.assert_array_equal(values(events[-1].heatmaps[k]), values(explanation.heatmap))


def test_a_caller_that_has_gone_ends_the_method(classifier: Classifier, tmp_path: Path) -> None:
    sign = tmp_path / "gone"
    _, response = _watch(classifier, _request(steps=5), abandoned=str(sign))
    assert response.explanations[0].steps_done == 5
    sign.touch()
    _, response = _watch(classifier, _request(steps=1000), abandoned=str(sign))
    assert response.explanations[0].steps_done == 0


def _in_time(request: pb.ExplainRequest, seconds: float) -> wire.Item:
    left = Duration()
    left.FromNanoseconds(round(seconds * 1e9))
    return wire.Item(explain=request, time_left=left)


def _answered(classifier: Classifier, *items: wire.Item) -> list[pb.Explanation]:
    pack = wire.Pack(items=wire.Items(items=items)).SerializeToString()
    return [result.explain.explanations[0] for result in reply(classifier, pack).items.results]


def _cut_short(explanation: pb.Explanation) -> bool:
    return pb.WARNING_CODE_BUDGET_EXHAUSTED in [warning.code for warning in explanation.warnings]


def test_a_method_with_a_budget_ends_by_the_deadline(classifier: Classifier) -> None:
    long = _request(steps=1000)
    for left in (-1.0, 0.0, 0.05):
        (explanation,) = _answered(classifier, _in_time(long, left))
        assert _cut_short(explanation)
        assert explanation.steps_done < 1000
    long.options.budget.FromSeconds(100)
    assert _cut_short(_answered(classifier, _in_time(long, 0.05))[0])
    assert not _cut_short(_answered(classifier, _in_time(_request(steps=2), 100))[0])


def test_a_method_without_a_budget_takes_its_time(classifier: Classifier) -> None:
    (explanation,) = _answered(classifier, _in_time(_request(method="grad-cam"), 0.0))
    assert not explanation.warnings


def test_one_in_a_hurry_does_not_take_others_along(classifier: Classifier) -> None:
    hurried, calm, also_calm = _answered(
        classifier, *(_in_time(_request(steps=30), left) for left in (0.001, 90.0, 100.0))
    )
    assert _cut_short(hurried)
    assert calm.steps_done == also_calm.steps_done == 30
    jobs = [classifier.read(_in_time(_request(), left), arrival=0.0) for left in (0.001, 90.0, 100.0)]
    assert jobs[0].group != jobs[1].group == jobs[2].group


def test_a_silent_method_ends_before_torchserve_takes_its_worker_for_hung(
    folder: FolderFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = Classifier(folder(worker={"response_timeout_s": 1}), CPU)
    long = _in_time(_request(_classes(0, 1, 2, 3), steps=1000), 300)
    with monkeypatch.context() as patch:
        ticks = count()
        patch.setattr("saliency.progress.monotonic", lambda: 0.1 * next(ticks))  # a step takes long
        (explanation,) = _answered(patient, long)
    assert _cut_short(explanation)
    assert 1 <= explanation.steps_done <= 9
    events, response = _watch(patient, _request(steps=5))
    assert events
    assert not _cut_short(response.explanations[0])


def _stand(step: int) -> Stand:
    return Stand(step, 100, [0.5], lambda: [torch.full((1, 1), float(step))])


def test_events_are_bounded_in_time_and_the_last_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    told: list[pb.Progress] = []
    reporter = Reporter(told.append, map_every=4, abandoned="")
    for step in range(101):
        assert not reporter.report(_stand(step), pb.Box())
        now += 0.01
    reporter.flush()
    assert len(told) <= 0.01 * 101 / progress.INTERVAL + 2
    assert [told[0].step, told[-1].step] == [0, 100]
    with_maps = [event for event in told if event.heatmaps]
    assert all(values(event.heatmaps[0])[0, 0] == event.step for event in with_maps)
    assert {b.step - a.step for a, b in pairwise(with_maps)} == {5}
    told.clear()
    reporter = Reporter(told.append, map_every=0, abandoned="")
    reporter.report(_stand(0), pb.Box())
    reporter.flush()
    assert len(told) == 1


class Handler(WorkerHandler):
    load = staticmethod(Classifier)


class Socket:
    """What TorchServe's frontend is sent before the end."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, part: bytes) -> None:
        self.sent.append(bytes(part))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("method", "parts"), [("opti-cam", 7), ("grad-cam", 0)])
def test_torchserve_is_told_which_part_is_the_last(folder: FolderFactory, method: str, parts: int) -> None:
    handler = Handler()
    service = Service("tiny", str(folder()), None, handler.handle, None, 1, metrics_cache=MagicMock())
    service.context.system_properties["model_dir"] = str(folder())
    handler.initialize(service.context)
    socket = Socket()
    service.set_cl_socket(socket)
    work = wire.Pack(watched=wire.Watched(item=wire.Item(explain=_request(method=method))))
    parameters = [{"name": PACK, "contentType": "", "value": work.SerializeToString()}]
    last = service.predict([{"requestId": b"1", "parameters": parameters}])
    assert len(socket.sent) == parts
    for part in socket.sent:
        assert _header(part) == b"true"
    assert _header(bytes(last)) == b"false"


def _header(message: bytes) -> bytes:
    """What a message says of whether another one follows."""
    _, _, rest = message.partition(b"ts_stream_next")
    size = int.from_bytes(rest[:4], "big")
    return rest[4 : 4 + size]
