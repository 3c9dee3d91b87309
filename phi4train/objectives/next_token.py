"""Cross-entropy of the next token, straight from hidden rows, without holding all logits.

Logits exist for one chunk of target rows at a time; gradients are computed in the same visit, so that the
backward pass only scales them. Positions without a label cost nothing.

Shape suffixes: N rows, M target rows, C rows of a chunk, D model dimension, V vocabulary.
Source: the gradient-in-forward idea is Liger Kernel's fused linear cross-entropy, arXiv 2410.10989.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from phi4train.batch import IGNORE_INDEX

CHUNK_LOGITS = 2**25
"""Logits held at once (128 MB in float32); each chunk reads and writes the head's whole gradient."""


def linear_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, labels_N: Tensor, chunk_tokens: int | None = None
) -> tuple[Tensor, Tensor]:
    """The summed cross-entropy of `hidden_ND @ weight_VD.T` against the labels, and the loss of each target.

    Only what needs a gradient gets one: a frozen head costs a third less, under `no_grad` there is none.
    Products run in autocast's dtype if it is on, else in the inputs'; softmax and losses in float32 or wider.

    Args:
        hidden_ND: rows, any float dtype.
        weight_VD: output head, without bias.
        labels_N: class of each row or IGNORE_INDEX, int64.
        chunk_tokens: target rows whose logits exist at once; None means as many as hold CHUNK_LOGITS logits.

    Returns:
        The sum, a float32 scalar, zero with zero gradients when no row has a label; and the losses of the
        rows with a label, in order, float32, detached, shape (M,).
    """
    rows = chunk_tokens or max(1, CHUNK_LOGITS // weight_VD.shape[0])
    is_recording = torch.is_grad_enabled()
    wants = (is_recording and hidden_ND.requires_grad, is_recording and weight_VD.requires_grad)
    loss_sum, losses_M = _LinearCrossEntropy.apply(hidden_ND, weight_VD, labels_N, rows, wants)
    return loss_sum, losses_M


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, labels_N: Tensor, rows: int, wants: tuple[bool, bool]
    ) -> tuple[Tensor, Tensor]:
        index_M = (labels_N != IGNORE_INDEX).nonzero().squeeze(1)
        dtype = _product_dtype(hidden_ND)
        targets_MD = hidden_ND.index_select(0, index_M).to(dtype)
        labels_M = labels_N.index_select(0, index_M)
        with torch.autocast(hidden_ND.device.type, enabled=False):
            losses_M, grad_MD, grad_VD = _loss_and_gradients(
                targets_MD, weight_VD.to(dtype), labels_M, rows, wants
            )
        ctx.grad_hidden = ctx.grad_weight = None
        if grad_MD is not None:
            grad_ND = torch.zeros_like(hidden_ND)
            ctx.grad_hidden = grad_ND.index_copy_(0, index_M, grad_MD.to(hidden_ND.dtype))
        if grad_VD is not None:
            ctx.grad_weight = grad_VD.to(weight_VD.dtype)
        ctx.mark_non_differentiable(losses_M)
        return losses_M.sum(), losses_M

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_sum: Tensor, _: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        # Scaled in place, for a copy of the head's gradient would cost gigabytes; so only once.
        if ctx.grad_hidden is None and ctx.grad_weight is None:
            raise RuntimeError("linear_cross_entropy's gradients are consumed by the first backward pass")
        grad_hidden, grad_weight = ctx.grad_hidden, ctx.grad_weight
        ctx.grad_hidden = ctx.grad_weight = None
        for grad in (grad_hidden, grad_weight):
            if grad is not None:
                grad.mul_(grad_sum)
        return grad_hidden, grad_weight, None, None, None


def _product_dtype(hidden_ND: Tensor) -> torch.dtype:
    device = hidden_ND.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_ND.dtype


def _loss_and_gradients(
    hidden_MD: Tensor, weight_VD: Tensor, labels_M: Tensor, rows: int, wants: tuple[bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Losses, and the gradients of their sum with respect to the hidden rows and the head, where wanted."""
    wide = torch.promote_types(hidden_MD.dtype, torch.float32)
    losses_M = torch.empty(len(labels_M), dtype=wide, device=hidden_MD.device)
    grad_MD = torch.empty_like(hidden_MD) if wants[0] else None
    grad_VD = torch.zeros_like(weight_VD, dtype=wide) if wants[1] else None
    for start in range(0, len(labels_M), rows):
        chunk = slice(start, start + rows)
        grad_CD = None if grad_MD is None else grad_MD[chunk]
        losses_M[chunk] = _visit_chunk(hidden_MD[chunk], weight_VD, labels_M[chunk, None], grad_CD, grad_VD)
    return losses_M, grad_MD, grad_VD


def _visit_chunk(
    hidden_CD: Tensor, weight_VD: Tensor, labels_C1: Tensor, grad_CD: Tensor | None, grad_VD: Tensor | None
) -> Tensor:
    """Losses of a chunk (C,); writes its rows' gradient and adds to the head's, where they are given."""
    wide = torch.promote_types(hidden_CD.dtype, torch.float32)
    logits_CV = (hidden_CD @ weight_VD.T).to(wide)
    largest_C1 = logits_CV.amax(dim=1, keepdim=True)
    label_logits_C1 = logits_CV.gather(1, labels_C1) - largest_C1
    exp_CV = logits_CV.sub_(largest_C1).exp_()
    sum_C1 = exp_CV.sum(dim=1, keepdim=True)
    losses_C = (sum_C1.log() - label_logits_C1).squeeze(1)
    if grad_CD is None and grad_VD is None:
        return losses_C
    grad_CV = exp_CV.div_(sum_C1).scatter_add_(1, labels_C1, -torch.ones_like(sum_C1)).to(weight_VD.dtype)
    if grad_CD is not None:
        torch.mm(grad_CV, weight_VD, out=grad_CD)
    if grad_VD is not None:
        _add_product(grad_VD, grad_CV.T, hidden_CD)
    return losses_C


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Adds `left @ right` to `total`, which may be of a wider dtype, in place."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)
