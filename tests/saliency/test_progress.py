"""Steps, their budget, and those who watch."""

import pytest
import torch
from torch import Tensor

from saliency import MapWarning, Progress, WarningKind, explain
from saliency import progress as module
from saliency.progress import Steps
from tests.nets import images, make


class _Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    found = _Clock()
    monkeypatch.setattr(module, "monotonic", found)
    return found


def _nothing() -> Tensor:
    raise AssertionError("nobody asked for maps")


def test_all_steps_are_done_without_a_budget(clock: _Clock) -> None:
    steps = Steps(3, 0.0, None)
    done = []
    for step in steps:
        clock.now += 1e9
        steps.report(step, _nothing)
        done.append(step)
    assert done == [0, 1, 2, 3]
    assert not steps.exhausted


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(0.5, [0]), (1.0, [0]), (1.9, [0]), (2.0, [0, 1]), (3.5, [0, 1, 2]), (100.0, [0, 1, 2, 3])],
)
def test_no_step_begins_that_would_not_fit_into_the_budget(clock: _Clock, budget: float, expected: list[int]) -> None:
    steps = Steps(3, budget, None)
    done = []
    for step in steps:
        clock.now += 1.0
        done.append(step)
    assert done == expected
    assert steps.exhausted == (expected[-1] < 3)


def test_what_comes_before_the_steps_counts_too(clock: _Clock) -> None:
    steps = Steps(3, 3.0, None)
    clock.now += 2.5
    done = []
    for step in steps:
        clock.now += 0.25
        done.append(step)
    assert done == [0, 1]


def test_the_last_step_is_in_time_however_late(clock: _Clock) -> None:
    steps = Steps(1, 2.0, None)
    for _ in steps:
        clock.now += 1.0
    assert not steps.exhausted


def test_a_watcher_ends_the_steps() -> None:
    told: list[Progress] = []

    def watcher(progress: Progress) -> bool:
        told.append(progress)
        return progress.step == 2

    steps = Steps(9, 0.0, watcher)
    for step in steps:
        steps.report(step, _nothing, torch.full((1, 1), float(step)))
    assert [(p.step, p.steps) for p in told] == [(0, 9), (1, 9), (2, 9)]
    assert [p.objectives.item() for p in told if p.objectives is not None] == [0.0, 1.0, 2.0]
    assert not steps.exhausted


def test_a_watcher_sees_what_the_explanation_would_be() -> None:
    net, layer = make("gap head")
    x = images(2)
    for targets, shape in (([0, 1], (2,)), ([[0, 1, 2], [3, 4, 0]], (2, 3))):
        seen: dict[int, Tensor] = {}

        def watcher(progress: Progress, seen: dict[int, Tensor] = seen, shape: tuple[int, ...] = shape) -> None:
            assert progress.objectives is not None
            assert progress.objectives.shape == shape
            assert progress.objectives.dtype == torch.float32
            seen[progress.step] = progress.maps()

        explain(net, x, targets, "opti-cam", layer, steps=4, progress=watcher)
        assert sorted(seen) == [0, 1, 2, 3, 4]
        for step in (1, 4):
            cut = explain(net, x, targets, "opti-cam", layer, steps=step)
            torch.testing.assert_close(seen[step], cut.maps)


def test_a_stopped_method_gives_its_best_map() -> None:
    net, layer = make("flat head")
    x = images(2)
    stopped = explain(net, x, [0, 1], "opti-cam", layer, steps=50, progress=lambda progress: progress.step == 3)
    assert stopped.steps_done is not None
    assert stopped.steps_done.tolist() == [3, 3]
    assert stopped.warnings == ()
    torch.testing.assert_close(stopped.maps, explain(net, x, [0, 1], "opti-cam", layer, steps=3).maps)


def test_a_watcher_that_raises_is_heard_and_leaves_nothing() -> None:
    net, layer = make("flat head")

    def watcher(progress: Progress) -> None:
        raise TimeoutError("the caller has gone")

    with pytest.raises(TimeoutError, match="the caller has gone"):
        explain(net, images(1), [0], "opti-cam", layer, progress=watcher)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in net.modules())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert torch.is_grad_enabled()


def test_a_spent_budget_is_told_where_it_cut_a_search_short(clock: _Clock) -> None:
    net, layer = make("flat head")
    x = images(2)
    x[1] = torch.nan  # its search ends by itself

    def tick(_progress: Progress) -> None:
        clock.now += 1.0

    found = explain(net, x, [[0, 1], [2, 3]], "opti-cam", layer, steps=50, budget=3.5, progress=tick)
    assert found.steps_done is not None
    assert found.steps_done.tolist() == [[2, 2], [0, 0]]
    assert [w for w in found.warnings if w.kind is WarningKind.BUDGET_EXHAUSTED] == [
        MapWarning(WarningKind.BUDGET_EXHAUSTED, 0, 0),
        MapWarning(WarningKind.BUDGET_EXHAUSTED, 0, 1),
    ]
    in_time = explain(net, x, [[0, 1], [2, 3]], "opti-cam", layer, steps=2)
    torch.testing.assert_close(found.maps, in_time.maps)
    assert not any(w.kind is WarningKind.BUDGET_EXHAUSTED for w in in_time.warnings)


def test_methods_without_steps_have_none() -> None:
    net, layer = make("gap head")
    assert explain(net, images(1), [0], "grad-cam", layer).steps_done is None


def test_black_has_a_value_for_each_channel() -> None:
    net, layer = make("gap head")
    with pytest.raises(ValueError, match="black has 2 values, but images have 3 channels"):
        explain(net, images(1), [0], "opti-cam", layer, black=[0.0, 0.0])
