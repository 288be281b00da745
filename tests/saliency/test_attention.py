"""Attention weights as they are seen, and the maps made of them, against computations by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import UnsuitableError, explain, method
from saliency.attention import watch_attention
from saliency.survey import survey
from tests import nets
from tests.transformers import CASES, make

METHODS = ["attention-rollout", "gradient-attention"]
each_method = pytest.mark.parametrize("name", METHODS)


def _seen(net: nn.Module, *inputs: Tensor) -> tuple[Any, list[Tensor]]:
    """The output, and all attention weights."""
    weights: list[Tensor] = []

    def see(found: Tensor) -> Tensor:
        weights.append(found)
        return found

    with torch.no_grad(), watch_attention(see):
        return net(*inputs), weights


def _by_hand(net: nets.Tokens, x: Tensor, first: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
    """The scores, and each block's weights ``[B, H, T, T]``, from its parameters alone.

    The first block may be given its weights; the second makes its own in any case.
    """
    patches = net.embed(x).flatten(2).transpose(1, 2)
    tokens = torch.cat([net.first.expand(len(x), -1, -1), patches], 1) + net.places
    weights: list[Tensor] = []
    for block in net.blocks:
        attention = block.attention
        joint = block.norm1(tokens) @ attention.in_proj_weight.T + attention.in_proj_bias
        q, k, v = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in joint.chunk(3, -1))
        raised = torch.exp(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5)
        own = raised / raised.sum(-1, keepdim=True)
        weights.append(own if first is None or weights else first)
        mixed = (weights[-1] @ v).transpose(1, 2).flatten(2)
        tokens = tokens + mixed @ attention.out_proj.weight.T + attention.out_proj.bias
        tokens = tokens + block.mlp(block.norm2(tokens))
    return net.head(net.norm(tokens)[:, 0]), weights


def _tokens_net() -> tuple[nets.Tokens, Tensor]:
    net, _ = nets.make("tokens")
    assert isinstance(net, nets.Tokens)
    return net, nets.images(2)


def test_rollout_is_the_class_tokens_row_of_the_product_of_all_blocks() -> None:
    net, x = _tokens_net()
    with torch.no_grad():
        _, weights = _by_hand(net, x)
    own = torch.eye(17, dtype=x.dtype)
    first, second = (0.5 * w.mean(1) + 0.5 * own for w in weights)
    expected = (second @ first)[:, 0, 1:].reshape(2, 4, 4)
    torch.testing.assert_close(explain(net, x, [0, 3], "attention-rollout").maps, expected.float())


def test_gradient_attention_multiplies_weights_by_their_gradients() -> None:
    net, x = _tokens_net()
    with torch.no_grad():
        first = _by_hand(net, x)[1][0]
    scores, weights = _by_hand(net, x, first.requires_grad_())
    gradients = torch.autograd.grad(scores[0, 1] + scores[1, 4], weights)
    own = torch.eye(17, dtype=x.dtype)
    lower, upper = (own + (g * w.detach()).clamp_min(0).mean(1) for g, w in zip(gradients, weights, strict=True))
    expected = (upper @ lower)[:, 0, 1:].reshape(2, 4, 4)
    torch.testing.assert_close(explain(net, x, [1, 4], "gradient-attention").maps, expected.float())


def test_weights_of_multi_head_attention_are_seen() -> None:
    net, x = _tokens_net()
    plain = net(x)
    with torch.no_grad():
        scores, expected = _by_hand(net, x)
    torch.testing.assert_close(scores, plain.detach())
    output, weights = _seen(net, x)
    torch.testing.assert_close(output, plain.detach())
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_fused_fast_path_of_encoder_layers_is_seen(norm_first: bool) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first).eval()
    x = torch.randn(3, 5, 8)
    output, (weights,) = _seen(layer, x)
    y = layer.norm1(x) if norm_first else x
    torch.testing.assert_close(weights, layer.self_attn(y, y, y, average_attn_weights=False)[1])
    torch.testing.assert_close(output, layer(x))


@pytest.mark.parametrize("kind", ["transformers vit", "transformers distilled deit"])
def test_weights_are_those_that_transformers_gives(kind: str) -> None:
    net, x = make(kind)
    eager, _ = make(kind)
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        expected = eager(x, output_attentions=True).attentions
    for model in (net, eager):
        output, weights = _seen(model, x)
        torch.testing.assert_close(tuple(weights), expected)
        torch.testing.assert_close(output.logits, net(x).logits.detach())


@pytest.mark.parametrize("kind", ["timm vit", "timm distilled deit"])
def test_weights_are_the_same_however_they_are_computed(kind: str) -> None:
    net, x = make(kind)
    _, fused = _seen(net, x)
    for module in net.modules():
        if "fused_attn" in vars(module):
            vars(module)["fused_attn"] = False
    _, written_out = _seen(net, x)
    assert len(fused) == 2
    torch.testing.assert_close(fused, written_out)


@pytest.mark.parametrize("options", [{}, {"scale": 0.3}, {"is_causal": True}, {"enable_gqa": True}], ids=str)
def test_fused_attention_keeps_its_options(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 6, 8), torch.randn(2, 2, 6, 8), torch.randn(2, 2, 6, 3)
    if "enable_gqa" not in options:
        key, value = key.repeat_interleave(2, 1), value.repeat_interleave(2, 1)
    expected = F.scaled_dot_product_attention(query, key, value, **options)
    with watch_attention(lambda weights: weights):
        torch.testing.assert_close(F.scaled_dot_product_attention(query, key, value, **options), expected)


def test_masks_of_multi_head_attention_are_kept() -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    hidden = torch.tensor([[False] * 5, [False, False, False, True, True]])
    for wanted in (False, True):
        expected = attention(x, x, x, key_padding_mask=hidden, need_weights=wanted)
        with watch_attention(lambda weights: weights):
            output, weights = attention(x, x, x, key_padding_mask=hidden, need_weights=wanted)
        torch.testing.assert_close(output, expected[0])
        torch.testing.assert_close(weights, expected[1])


@pytest.mark.parametrize(
    ("kind", "shares"),
    [
        ("timm vit", [1.0] + 24 * [0.0]),
        ("timm vit that averages", [0.0] + 24 * [1 / 24]),
        ("timm distilled deit", [0.5, 0.5] + 24 * [0.0]),
        ("timm vit with registers", [1.0] + 28 * [0.0]),
    ],
)
def test_rollout_starts_where_the_scores_are_read_from(kind: str, shares: list[float]) -> None:
    net, x = make(kind)
    row = torch.tensor(shares).expand(2, 1, -1)
    for weights in reversed(_seen(net, x)[1]):
        row = 0.5 * row + 0.5 * row @ weights.mean(1)
    expected = row[:, 0, CASES[kind].prefix :].reshape(2, 4, 6)
    torch.testing.assert_close(explain(net, x, [0, 1], "attention-rollout").maps, expected)


@each_method
@pytest.mark.parametrize("kind", ["torchvision vit", "timm vit with registers", "transformers distilled deit"])
def test_maps_of_real_models(name: str, kind: str) -> None:
    net, x = make(kind)
    found = explain(net, x, [[0, 1], [2, 3]], name)
    assert found.maps.shape == (2, 2, *CASES[kind].grid)
    assert (found.maps > 0).flatten(2).any(2).all()
    assert found.layers == ()
    assert bool((found.maps[:, 0] == found.maps[:, 1]).all()) == method(name).class_agnostic


@each_method
@pytest.mark.parametrize("kind", ["torchvision swin", "timm swin", "transformers swin"])
def test_windows_are_refused(name: str, kind: str) -> None:
    net, x = make(kind)
    with pytest.raises(UnsuitableError, match="spans windows"):
        explain(net, x, [0, 1], name)
    assert "spans windows" in (method(name).unsuitable(net) or "")


@each_method
def test_networks_without_attention_are_refused(name: str) -> None:
    net, _ = nets.make("residual")
    assert method(name).unsuitable(net) is None
    survey(net, nets.images(1))
    assert method(name).unsuitable(net) == "no attention was seen in it"
    with pytest.raises(UnsuitableError, match="no attention"):
        explain(net, nets.images(1), [0], name)
