"""LoRA on top of peft (its config, injection, weights, merging) with a forward that routes rows to adapters.

Shape suffixes: T tokens, N tokens of one adapter, D model dimension.
Source: LoRA, arXiv 2106.09685; mixture of modality adapters: Phi-4-Mini technical report, arXiv 2503.01743.
"""

from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as PeftLoraLinear
from torch import Tensor
from torch.autograd.function import once_differentiable

from phi4train.model.language_model import LanguageModel, RoutedLinear
from phi4train.model.routing import BatchRouting
from phi4train.model.shapes import LoraShape

LORA_TARGETS = r"layers\.\d+\.(self_attn\.(qkv_proj|o_proj)|mlp\.(gate_up_proj|down_proj))"
"""The four fused linears of every decoder layer, by their name inside the language model."""


class RoutedLoraLinear(PeftLoraLinear):
    """peft's LoRA layer, each row with the adapter that the routing names for it."""

    def forward(self, x_TD: Tensor, routing: BatchRouting) -> Tensor:
        """The base layer's rows, plus each adapter's share on its own rows.

        Other rows stay, to the last bit, as the base layer gives them in a batch of the same size.
        """
        out: Tensor
        assignments = routing.assignments
        if not assignments or assignments[0].rows is None:  # all rows are alike
            out = self.base_layer(x_TD, routing)
            return out + self._share(assignments[0].adapter, x_TD).to(out.dtype) if assignments else out
        parts = [assignment.rows for assignment in assignments]
        x_TD, *own_rows = _TakeRows.apply(x_TD, *parts)
        out = self.base_layer(x_TD, routing)
        shares = [
            self._share(assignment.adapter, x_ND).to(out.dtype)
            for assignment, x_ND in zip(assignments, own_rows, strict=True)
        ]
        out = _AddRows.apply(out, parts, *shares)
        return out

    def _share(self, adapter: str, x_ND: Tensor) -> Tensor:
        low_rank = self.lora_A[adapter](self.lora_dropout[adapter](x_ND))
        share: Tensor = self.lora_B[adapter](low_rank * self.scaling[adapter])
        return share


Rows = slice | Tensor


class _TakeRows(torch.autograd.Function):
    """All rows, and some of them once more for each part; a row is in one part at most.

    Where autograd would fill a tensor of all rows with zeros for each part and add them up, the backward pass
    adds each part's gradient to its own rows.
    """

    @staticmethod
    def forward(ctx: Any, x_TD: Tensor, *parts: Rows) -> tuple[Tensor, ...]:
        ctx.parts = parts
        return (x_TD.view_as(x_TD), *(_rows_of(x_TD, rows) for rows in parts))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TD: Tensor, *grads: Tensor) -> tuple[Tensor | None, ...]:
        total_TD = grad_TD.clone()
        _add_to_rows(total_TD, ctx.parts, grads)
        return (total_TD, *(None for _ in ctx.parts))


class _AddRows(torch.autograd.Function):
    """Adds a share to each part of the rows, in place."""

    @staticmethod
    def forward(ctx: Any, out_TD: Tensor, parts: Sequence[Rows], *shares: Tensor) -> Tensor:
        ctx.parts = parts
        ctx.mark_dirty(out_TD)
        _add_to_rows(out_TD, parts, shares)
        return out_TD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TD: Tensor) -> tuple[Tensor | None, ...]:
        return (grad_TD, None, *(_rows_of(grad_TD, rows) for rows in ctx.parts))


def _rows_of(x_TD: Tensor, rows: Rows) -> Tensor:
    return x_TD[rows] if isinstance(rows, slice) else x_TD.index_select(0, rows)


def _add_to_rows(out_TD: Tensor, parts: Sequence[Rows], shares: Sequence[Tensor]) -> None:
    for rows, share_ND in zip(parts, shares, strict=True):
        if isinstance(rows, slice):
            out_TD[rows].add_(share_ND)
        else:
            out_TD.index_add_(0, rows, share_ND)


def lora_config(shape: LoraShape) -> LoraConfig:
    """peft's configuration of an adapter of this size."""
    return LoraConfig(
        r=shape.r,
        lora_alpha=shape.alpha,
        lora_dropout=shape.dropout,
        target_modules=LORA_TARGETS,
        bias="none",
    )


def install_adapter(language_model: LanguageModel, name: str, shape: LoraShape) -> None:
    """Wraps the target layers of `language_model` in place, or adds the adapter to those already wrapped.

    peft initialises the weights from the global generator; whoever builds a model initialises them anew.
    """
    config: Any = lora_config(shape)
    config._register_custom_module({RoutedLinear: RoutedLoraLinear})
    inject_adapter_in_model(config, language_model, adapter_name=name)
    del language_model.peft_config  # peft's note of its last injection, which makes it warn at the next one
