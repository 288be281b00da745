"""Maps measured, against loops over steps and closed forms."""

from itertools import count
from math import inf, isnan
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from camserve.v1 import explanation_pb2 as pb
from handlers.faithfulness import class_probabilities, measured
from handlers.tokens import Span, text_probabilities
from saliency import Class, Contrast
from saliency.lean import often
from tests.handlers.figures import FIGURES, assert_figures, loop

BLACK = (-2.0, -1.0, -0.5)


class Linear(nn.Module):
    """Logits that are linear in the pixels of the upper rows; the lower ones it does not see."""

    def __init__(self, height: int = 6, width: int = 5, seen: int = 4) -> None:
        super().__init__()
        weights = torch.randn(3, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        weights[..., seen:, :] = 0
        self.weights = nn.Parameter(weights / 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bchw,nchw->bn", x, self.weights)


class Blind(Linear):
    """The same, of which no gradients are to be had."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


def _image(seed: int = 0) -> Tensor:
    return torch.randn(1, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _maps(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def _measured(
    network: nn.Module, maps: Tensor, *targets: Any, counter: bool = False, until: float = inf
) -> list[pb.Faithfulness]:
    return measured(
        network.eval(),
        _image(),
        targets,
        maps,
        probabilities=class_probabilities,
        counter=counter,
        black=BLACK,
        until=until,
    )


@pytest.mark.parametrize("counter", [False, True])
@pytest.mark.parametrize("size", [(6, 5), (2, 3)])
def test_figures_of_a_linear_model_are_those_of_aloop(counter: bool, size: tuple[int, int]) -> None:
    net, maps = Linear(), _maps(3, *size)
    targets = (Class(2), Class(0), Contrast(Class(2), (0, 1)))
    found = _measured(net, maps, *targets, counter=counter)
    for figures, heat, index in zip(found, maps, (2, 0, 2), strict=True):

        def p(image: Tensor, index: int = index) -> float:
            probability = net(image[None]).softmax(1)[0, index].item()
            return 1 - probability if counter else probability

        assert_figures(figures, loop(p, _image()[0], heat, BLACK))


def test_the_unseen_share_of_a_known_wall() -> None:
    upper, uniform = torch.zeros(6, 5), torch.ones(6, 5)
    upper[1:3] = torch.tensor([[1.0], [-2.0]])
    lower = upper.flip(0).roll(1, 0)  # rows 4 and 5 but one: unseen -2 and 1
    found = _measured(Linear(), torch.stack([upper, uniform, lower]), Class(0), Class(1), Class(2))
    assert [figures.unseen_share for figures in found] == pytest.approx([0.0, 2 / 6, 1.0])


def test_without_gradients_the_unseen_share_is_not_a_number_and_the_rest_is_there() -> None:
    (blind,), (sees,) = (_measured(kind(), _maps(1, 6, 5), Class(1)) for kind in (Blind, Linear))
    assert isnan(blind.unseen_share)
    assert not isnan(sees.unseen_share)
    for name in FIGURES:
        assert getattr(blind, name) == getattr(sees, name)


def test_a_flat_map_hides_all() -> None:
    net = Linear()
    (found,) = _measured(net, torch.zeros(1, 2, 2), Class(0))
    black = torch.tensor(BLACK, dtype=torch.float64)[:, None, None].expand(3, 6, 5)
    p, o = (net(image[None]).softmax(1)[0, 0].item() for image in (_image()[0], black))
    assert found.average_drop == pytest.approx(100 * max(0.0, p - o) / p, rel=1e-5)
    assert found.unseen_share == 0


def test_a_texts_probability_is_the_mean_of_its_tokens() -> None:
    tokens = torch.tensor([[0.5, 0.125, 0.9], [0.2, 0.3, 0.7]]).log()[..., None]
    found = text_probabilities(tokens, [Span(0, 2), Span(0, 1)])
    torch.testing.assert_close(found, torch.tensor([0.25, 0.2]))


@pytest.mark.parametrize(("until", "forwards"), [(0.0, 0), (40.0, 1), (100.0, None)])
def test_what_would_take_too_long_is_given_up_after_the_first_forward(
    monkeypatch: pytest.MonkeyPatch, until: float, forwards: int | None
) -> None:
    ticks = count()
    monkeypatch.setattr("handlers.faithfulness.monotonic", lambda: float(next(ticks)))  # a second for each forward
    net, ran = Linear(), []
    often(net, _image())  # looks at it
    net.register_forward_hook(lambda _module, inputs, _output: ran.append(len(inputs[0])))
    if forwards is None:
        assert len(_measured(net, _maps(1, 2, 2), Class(0), until=until)) == 1
    else:
        with pytest.raises(TimeoutError):
            _measured(net, _maps(1, 2, 2), Class(0), until=until)
        assert sum(ran) == forwards
