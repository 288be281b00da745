"""What every registered method keeps to, on every kind of network: a new method is tested by being registered."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import saliency
from saliency import Explanation, TargetError, UnsuitableError, WarningKind, methods
from saliency import method as find
from tests.nets import CLASSES, NETS, images, make

pytestmark = pytest.mark.usefixtures("one_core")

UNSUITABLE = {
    "attention-rollout": set(NETS) - {"tokens"},
    "cam": {"flat head", "in place", "curved head", "tokens"},
    "contrastive-excitation-backprop": {"curved head", "tokens"},
    "excitation-backprop": {"curved head", "tokens"},
    "gradient-attention": set(NETS) - {"tokens"},
}
"""Networks on which a method cannot work, by method; it must work on all others."""

ERRORS = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.15}
"""How far a map may be from that in float64, as a share of its norm."""
ROUGH = {"ablation-cam", "fem", "group-cam", "is-cam", "opti-cam", "poly-cam", "score-cam", "ss-cam"}
"""Methods that count cells above a threshold, or compare scores that differ by hardly more than rounding."""
ROUGH_ERRORS = {torch.float32: 1e-4, torch.float16: 0.1, torch.bfloat16: float("inf")}

OPTIONS: dict[str, dict[str, Any]] = {"opti-cam": {"steps": 3}}
"""Options of methods that take long by default; in a search, too, rounding grows with every step."""

METHODS = [method.id for method in methods()]
PAIRS = [(method, kind) for method in METHODS for kind in NETS if kind not in UNSUITABLE.get(method, ())]
NO_PAIRS = [(method, kind) for method in METHODS for kind in NETS if kind in UNSUITABLE.get(method, ())]
HOME = {method: next(kind for kind in ("residual", *NETS) if (method, kind) in PAIRS) for method in METHODS}
"""For each method one network on which it works."""
THREADED = list({*HOME.items(), *[("grad-cam", kind) for kind in NETS]})
EMPTY = {WarningKind.FLAT, WarningKind.ALL_NEGATIVE}

each_method = pytest.mark.parametrize("method", METHODS)
each_pair = pytest.mark.parametrize(("method", "kind"), PAIRS)


def explain(net: nn.Module, x: Tensor, targets: Any, method: str, layer: str) -> Explanation:
    """Explains with the options that the method is tested with."""
    return saliency.explain(net, x, targets, method, layer, **OPTIONS.get(method, {}))


def _state(net: nn.Module) -> dict[str, Any]:
    """Everything that a call might leave on a model."""
    modules = dict(net.named_modules())
    return {
        "hooks": {
            (name, kind): dict(getattr(module, kind))
            for name, module in modules.items()
            for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        },
        "training": {name: module.training for name, module in modules.items()},
        "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
        "forward": {name: module.forward.__func__ for name, module in modules.items()},
        "grads": {name: (p.grad, p.requires_grad) for name, p in net.named_parameters()},
        "values": {name: value.clone().tolist() for name, value in net.state_dict().items()},
    }


@pytest.fixture(autouse=True)
def _modes_are_restored() -> Iterator[None]:
    yield
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def _assert_sound(found: Explanation) -> None:
    """Maps are finite, not negative if the method clips, and empty exactly where a warning says so."""
    maps = found.maps if found.maps.dim() == 4 else found.maps[:, None]
    assert maps.isfinite().all()
    if find(found.method).clip:
        assert (maps >= 0).all()
    empty = {(image, target) for image, target in (maps == 0).all(-1).all(-1).nonzero().tolist()}
    assert empty == {(w.image, w.target) for w in found.warnings if w.kind in EMPTY}


@each_pair
class TestEveryNet:
    def test_shapes_and_record(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        x = images(2)
        found = explain(net, x, [1, 2], method, layer)
        assert found.maps.shape[0] == 2
        assert found.maps.dim() == 3
        assert found.maps.dtype == torch.float32
        _assert_sound(found)
        assert found.method == method
        assert found.layers in ((layer,), ())
        plain = net(x)
        plain = getattr(plain, "logits", plain)
        torch.testing.assert_close(found.outputs, plain.detach())
        torch.testing.assert_close(found.scores, plain.detach().float()[[0, 1], [1, 2]])
        assert not found.outputs.requires_grad
        assert not found.maps.requires_grad

    def test_nothing_is_left(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        x = images(2)
        before = _state(net)
        explain(net, x, [1, 2], method, layer)
        assert _state(net) == before
        assert x.grad is None
        assert not x.requires_grad

    def test_nothing_is_left_after_a_bad_target(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        before = _state(net)
        with pytest.raises(TargetError, match="class 99"):
            explain(net, images(1), [99], method, layer)
        assert _state(net) == before

    def test_nothing_is_left_after_a_failing_module(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        before = _state(net)

        def fail(_module: nn.Module, _inputs: Any) -> None:
            raise KeyError("this module fails")

        handle = list(net.modules())[-1].register_forward_pre_hook(fail)
        with pytest.raises(KeyError, match="this module fails"):
            explain(net, images(1), [0], method, layer)
        handle.remove()
        assert _state(net) == before

    def test_a_batch_gives_what_singles_give(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        x = images(3)
        batch = explain(net, x, [0, 1, 2], method, layer)
        for i in range(3):
            single = explain(net, x[i : i + 1], [i], method, layer)
            torch.testing.assert_close(batch.maps[i : i + 1], single.maps, rtol=1e-5, atol=1e-6)

    def test_many_targets_give_what_many_calls_give(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        x = images(2)
        rows = [[0, 3, 1], [2, 0, 4]]
        together = explain(net, x, rows, method, layer)
        assert together.maps.shape[:2] == (2, 3)
        assert together.scores.shape == (2, 3)
        for k in range(3):
            alone = explain(net, x, [row[k] for row in rows], method, layer)
            torch.testing.assert_close(together.maps[:, k], alone.maps, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(together.scores[:, k], alone.scores)

    def test_callables_give_what_classes_give(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        x = images(2)
        by_class = explain(net, x, [1, 4], method, layer)
        by_call = explain(net, x, [lambda out: out[1], lambda out: out[4]], method, layer)
        torch.testing.assert_close(by_call.maps, by_class.maps)

    def test_grad_modes_and_frozen_parameters(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        x = images(1)
        expected = explain(net, x, [2], method, layer).maps
        with torch.no_grad():
            torch.testing.assert_close(explain(net, x, [2], method, layer).maps, expected)
            assert not torch.is_grad_enabled()
        with torch.inference_mode():
            made_inside = images(1)
            torch.testing.assert_close(explain(net, made_inside, [2], method, layer).maps, expected)
        net.requires_grad_(False)
        torch.testing.assert_close(explain(net, x, [2], method, layer).maps, expected)

    def test_channels_last(self, method: str, kind: str) -> None:
        net, layer = make(kind)
        x = images(2)
        expected = explain(net, x, [2, 3], method, layer).maps
        net = net.to(memory_format=torch.channels_last)
        found = explain(net, x.to(memory_format=torch.channels_last), [2, 3], method, layer).maps
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
    def test_lower_precision(self, method: str, kind: str, dtype: torch.dtype) -> None:
        net, layer = make(kind)
        x = images(2)
        expected = explain(net, x, [2, 3], method, layer).maps
        found = explain(net.to(dtype), x.to(dtype), [2, 3], method, layer)
        assert found.maps.dtype == torch.float32
        assert found.maps.isfinite().all()
        error = (found.maps - expected).norm() / expected.norm().clamp_min(1e-6)
        assert error < (ROUGH_ERRORS if method in ROUGH else ERRORS)[dtype]


@pytest.mark.parametrize(("method", "kind"), NO_PAIRS)
def test_a_method_that_cannot_work_says_why_and_leaves_nothing(method: str, kind: str) -> None:
    net, layer = make(kind)
    before = _state(net)
    with pytest.raises(UnsuitableError, match=f"^{method} does not work on this model: "):
        explain(net, images(2), [1, 2], method, layer)
    assert _state(net) == before


@pytest.mark.parametrize(("method", "kind"), THREADED)
def test_threads_give_what_one_thread_gives(method: str, kind: str) -> None:
    net, layer = make(kind)
    jobs = [(images(1, seed), seed % CLASSES) for seed in range(8)]
    expected = [explain(net, x, [target], method, layer).maps for x, target in jobs]
    before = _state(net)
    wrong: list[object] = []

    def work(start: int) -> None:
        for turn in range(len(jobs)):
            place = (start + turn) % len(jobs)
            x, target = jobs[place]
            try:
                torch.testing.assert_close(explain(net, x, [target], method, layer).maps, expected[place])
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert _state(net) == before


@each_method
def test_a_wrong_number_of_targets_raises(method: str) -> None:
    net, layer = make(HOME[method])
    with pytest.raises(TargetError, match="1 entries for 2 images"):
        explain(net, images(2), [0], method, layer)


@each_method
def test_an_image_that_overflows_does_not_spoil_its_neighbours(method: str) -> None:
    net, layer = make(HOME[method])
    x = images(3)
    expected = explain(net, x[[0, 2]], [0, 2], method, layer).maps
    x[1] = torch.inf
    found = explain(net, x, [0, 1, 2], method, layer)
    torch.testing.assert_close(found.maps[[0, 2]], expected, rtol=1e-5, atol=1e-6)
    assert {w.image for w in found.warnings if w.kind is WarningKind.NON_FINITE} == {1}
    _assert_sound(found)


@pytest.mark.parametrize("method", [method for method, kind in PAIRS if kind == "gap head"])
class TestExtremes:
    """Activations of one value, evidence of one sign, values near the end of the range."""

    @pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.1, 1e30])
    def test_constant_activations_give_zeros_and_a_warning(self, method: str, value: float) -> None:
        net, layer = _gap_net()
        net.trunk[0].weight.data.zero_()
        net.trunk[0].bias.data.fill_(value)
        found = explain(net, torch.full((1, 3, 16, 16), value), [0], method, layer)
        assert (found.maps == 0).all()
        _assert_sound(found)

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    def test_evidence_of_one_sign(self, method: str, sign: float) -> None:
        net, layer = _gap_net()
        net.head.weight.data.abs_().mul_(sign)
        _assert_sound(explain(net, images(2).float(), [[0, 1], [2, 3]], method, layer))

    @pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e30])
    def test_values_near_the_end_of_the_range(self, method: str, scale: float) -> None:
        net, layer = _gap_net()
        _assert_sound(explain(net, images(2).float() * scale, [0, 1], method, layer))

    def test_saturated_activations(self, method: str) -> None:
        net, layer = _gap_net()
        net.trunk[0].weight.data.mul_(1e4)
        net.trunk.append(nn.Sigmoid())
        _assert_sound(explain(net, images(2).float(), [0, 1], method, layer))


class _GapNet(nn.Module):
    """Linear up to its scores, in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2))
        self.head: nn.Module = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x).mean((2, 3)))


def _gap_net() -> tuple[Any, str]:
    torch.manual_seed(0)
    return _GapNet().eval(), "trunk"
