"""What runs on the prefix alone: maps stay as they were, and nothing is spared where it matters."""

import gc
import threading
import weakref

import pytest
import torch
from torch import Tensor, nn

from saliency import capture, explain
from saliency.choice import last_spatial, resolve
from saliency.hooks import narrow
from saliency.lean import forward
from saliency.unread import token_by_token
from tests.transformers import CASES, make

READ_BY_A_PREFIX = [kind for kind in CASES if "swin" not in kind and "averages" not in kind]
METHODS = ["grad-cam", "hires-cam", "layer-cam", "xgrad-cam", "grad-cam++"]


def narrowed(net: nn.Module, x: Tensor) -> list[str]:
    names = {module: name for name, module in net.named_modules()}
    return [names[module] for module in token_by_token(net, x, last_spatial(net, x))]


@pytest.mark.parametrize("kind", READ_BY_A_PREFIX)
def test_the_last_mlp_runs_on_the_prefix_alone(kind: str) -> None:
    assert any(name.endswith("mlp") for name in narrowed(*make(kind)))


def test_attention_asks_for_the_prefix_alone_where_queries_come_apart() -> None:
    assert any(name.endswith("self_attention") for name in narrowed(*make("torchvision vit")))
    assert any(name.endswith("q_proj") for name in narrowed(*make("transformers vit")))
    assert not any(name.endswith("attn") for name in narrowed(*make("timm vit")))  # one input for all three


def test_nothing_is_spared_where_all_tokens_are_averaged() -> None:
    assert narrowed(*make("timm vit that averages")) == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", READ_BY_A_PREFIX)
def test_maps_scores_and_outputs_are_those_of_the_whole(
    kind: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x = make(kind)
    found = explain(net, x, [[0, 2], [1, 0]], method)
    monkeypatch.setattr("saliency.families.gradient_cam.forward", capture.forward)
    expected = explain(net, x, [[0, 2], [1, 0]], method)
    torch.testing.assert_close(found.maps, expected.maps, rtol=1e-4, atol=1e-5 * float(expected.maps.abs().max()))
    torch.testing.assert_close(found.outputs, expected.outputs)
    torch.testing.assert_close(found.scores, expected.scores)


class _Shared(nn.Module):
    """Two rounds of attention with one MLP for both, after which the class token is read."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.first = nn.Parameter(torch.randn(1, 1, 8))
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.attentions = nn.ModuleList(nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.first.expand(len(x), -1, -1), self.embed(x).flatten(2).transpose(1, 2)], 1)
        for norm, attention in zip(self.norms, self.attentions, strict=True):
            y = norm(x)
            x = x + attention(y, y, y, need_weights=False)[0]
            x = x + self.mlp(x)
        return self.head(x[:, 0])


def test_what_ran_before_the_layer_too_is_left_whole() -> None:
    torch.manual_seed(0)
    net, x = _Shared().eval(), torch.randn(2, 3, 16, 16)
    (layer,) = resolve(net, "norms.1", x)
    assert layer.prefix == 1
    assert net.mlp not in token_by_token(net, x, layer)
    plain = capture.forward(net, x, [layer])
    lean = forward(net, x, [layer])
    torch.testing.assert_close(lean.outputs, plain.outputs)
    for own, its in zip(lean.gradients(lambda out: out[:, :2]), plain.gradients(lambda out: out[:, :2]), strict=True):
        torch.testing.assert_close(own, its)


def test_a_model_that_was_explained_is_free_to_go() -> None:
    net, x = make("torchvision vit")
    explain(net, x, [0, 1])
    parts = [weakref.ref(module) for module in net.modules()]
    del net
    gc.collect()
    assert [part() for part in parts if part() is not None] == []


def test_other_threads_run_the_whole() -> None:
    layer, tokens = nn.Linear(4, 4), torch.randn(2, 7, 4)
    whole = layer(tokens)
    found: list[Tensor] = []
    with narrow([layer], 2):
        other = threading.Thread(target=lambda: found.append(layer(tokens)))
        other.start()
        other.join()
        narrow_ = layer(tokens)
    torch.testing.assert_close(found[0], whole)
    torch.testing.assert_close(narrow_[:, :2], whole[:, :2])
    assert not narrow_[:, 2:].any()
    assert not layer._forward_hooks
    assert not layer._forward_pre_hooks
    with (
        narrow([layer], 2),
        pytest.raises(TypeError, match=r"only tokens \[B, T, C\] can be narrowed to 2, not \[7, 4\]"),
    ):
        layer(tokens[0])
