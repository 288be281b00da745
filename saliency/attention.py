"""Seeing the attention weights of a model while it runs, however it computes them.

Fused kernels never form them. Here each call of ``scaled_dot_product_attention`` and ``multi_head_attention_forward``
that the current thread makes is computed by its definition, ``softmax(q kᵀ) v``, and softmaxes over pairs of tokens,
as attention written out by hand has them, are seen too. Nothing is changed on the model or in PyTorch.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

See = Callable[[Tensor], Tensor]
"""Takes attention weights ``[B, H, T, S]`` of H heads, T queries and S keys; returns what shall take their place."""

_SOFTMAXES = (torch.softmax, F.softmax, Tensor.softmax, torch.special.softmax)
_multi_head = signature(F.multi_head_attention_forward)


def watch_attention(see: See) -> AbstractContextManager[Any]:
    """Shows all attention weights of this thread, in the order of the forward, until the block ends."""
    return _Watch(see)


class _Watch(TorchFunctionMode):
    """Also keeps modules off their fused fast paths, as these stand back where functions are overridden."""

    def __init__(self, see: See) -> None:
        super().__init__()
        self._see = see

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self._scaled_dot_product(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            return self._multi_head(args, kwargs)
        output = func(*args, **kwargs)
        if func in _SOFTMAXES and output.dim() == 4 and output.shape[-1] == output.shape[-2]:
            return self._see(output)
        return output

    def _scaled_dot_product(self, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # Attention to one-hot values is the weights; so masks, scales and shared heads stay PyTorch's own affair.
        one_hot = torch.eye(key.shape[-2], dtype=value.dtype, device=value.device).expand(*key.shape[:-1], -1)
        weights = F.scaled_dot_product_attention(query, key, one_hot, *args, **kwargs)
        if weights.dim() == 4:
            weights = self._see(weights)
        if kwargs.get("enable_gqa"):
            value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
        return weights @ value

    def _multi_head(self, args: Any, kwargs: Any) -> tuple[Tensor, Tensor | None]:
        given = _multi_head.bind(*args, **kwargs)
        given.apply_defaults()
        wanted = dict(given.arguments)
        given.arguments |= {"need_weights": True, "average_attn_weights": False}
        output, weights = F.multi_head_attention_forward(*given.args, **given.kwargs)
        usual = wanted["in_proj_weight"] is not None and wanted["bias_v"] is None and not wanted["add_zero_attn"]
        if usual and weights is not None and weights.dim() == 4:
            weights = self._see(weights)
            output = _attended(weights, wanted)
        if weights is None or not wanted["need_weights"]:
            return output, None
        return output, weights.mean(1) if wanted["average_attn_weights"] else weights


def _attended(weights: Tensor, given: Mapping[str, Any]) -> Tensor:
    """What multi-head attention gives, ``[T, B, E]``, for weights ``[B, H, T, S]`` and its other arguments."""
    width, bias = given["embed_dim_to_check"], given["in_proj_bias"]
    value = F.linear(given["value"], given["in_proj_weight"][2 * width :], None if bias is None else bias[2 * width :])
    heads = value.reshape(*value.shape[:2], weights.shape[1], -1).permute(1, 2, 0, 3)
    merged = (weights @ heads).permute(2, 0, 1, 3).flatten(2)
    return F.linear(merged, given["out_proj_weight"], given["out_proj_bias"])
