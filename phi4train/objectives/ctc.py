"""CTC of media tokens against a text, straight from the tokens, without holding all log-probabilities.

CTC asks for the probability of the blank and of the ids of a clip's target alone. So each clip gets a narrow
matrix of those columns, normalised by the log-sum-exp over the whole vocabulary, which is built in chunks.

Shape suffixes: N tokens of all clips, C tokens of a chunk or a clip, D model dimension, V vocabulary,
K columns of a clip (blank and distinct target ids), U ids of a target, L tokens of the longest clip, B clips.
Source: Graves et al., Connectionist Temporal Classification, ICML 2006.
"""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from phi4train.objectives.next_token import CHUNK_LOGITS


def fewest_ctc_tokens(target: Sequence[int]) -> int:
    """Tokens that a clip needs to spell `target`: one for each id, and a blank between equal neighbours."""
    return len(target) + sum(left == right for left, right in pairwise(target))


def linear_ctc(
    tokens_ND: Tensor,
    num_tokens: Sequence[int],
    weight_VD: Tensor,
    targets: Sequence[Sequence[int]],
    blank_id: int,
    chunk_tokens: int | None = None,
) -> tuple[Tensor, int]:
    """The summed CTC loss of clips with the logits `tokens_ND @ weight_VD.T`, and their number of target ids.

    The tokens get a gradient, the weight none. Products run in autocast's dtype if it is on, else in the
    inputs'; all else in float32 or wider. On CPU the result depends on the inputs alone, to the last bit.

    Args:
        tokens_ND: tokens of all clips, laid end to end.
        num_tokens: tokens of each clip; they sum to N.
        weight_VD: output head, without bias, in the dtype of the tokens.
        targets: ids that each clip spells, at least one and none `blank_id`; with fewer tokens than
            `fewest_ctc_tokens` a clip's loss is infinite, so leave it out.
        blank_id: the class of tokens at which nothing new is heard.
        chunk_tokens: tokens whose logits exist at once; None means as many as hold CHUNK_LOGITS logits.
    """
    num_targets = sum(len(target) for target in targets)
    if not targets:
        return tokens_ND.new_zeros((), dtype=_wide(tokens_ND)), num_targets
    weight_VD = weight_VD.detach()
    rows = chunk_tokens or max(1, CHUNK_LOGITS // weight_VD.shape[0])
    log_sums_N: Tensor = _ChunkedLogSumExp.apply(tokens_ND, weight_VD, rows)
    clips = zip(
        torch.split(tokens_ND, list(num_tokens)),
        torch.split(log_sums_N, list(num_tokens)),
        targets,
        strict=True,
    )
    log_probs: list[Tensor] = []
    columns: list[list[int]] = []
    for tokens_CD, log_sums_C, target in clips:
        column_of = {id_: column for column, id_ in enumerate([blank_id, *sorted(set(target))])}
        head_KD = weight_VD[list(column_of)]
        log_probs.append((tokens_CD @ head_KD.T).to(log_sums_C.dtype) - log_sums_C[:, None])
        columns.append([column_of[id_] for id_ in target])
    return _ctc_of_columns(log_probs, columns), num_targets


def _ctc_of_columns(log_probs: Sequence[Tensor], columns: Sequence[Sequence[int]]) -> Tensor:
    """The summed loss of clips from the log-probabilities (C, K) of blank, column 0, and of target ids.

    torch's ctc_loss returns p - posterior as the gradient of a log-probability, whose true one is -posterior.
    A log_softmax over all classes maps both to the same gradient of the logits; over a part of the classes
    it does not. The term without a value, whose gradient is -p, makes it the true one.
    """
    widest = max(matrix_CK.shape[1] for matrix_CK in log_probs)
    padded_LBK = pad_sequence([F.pad(m_CK, (0, widest - m_CK.shape[1])) for m_CK in log_probs])
    loss_sum = F.ctc_loss(
        padded_LBK,
        torch.tensor(list(chain(*columns)), device=padded_LBK.device),
        torch.tensor([len(matrix_CK) for matrix_CK in log_probs]),
        torch.tensor([len(target) for target in columns]),
        reduction="sum",
    )
    probabilities = torch.stack([matrix_CK.exp().sum() for matrix_CK in log_probs]).sum()
    return loss_sum - (probabilities - probabilities.detach())


class _ChunkedLogSumExp(torch.autograd.Function):
    """`(tokens_ND @ weight_VD.T).logsumexp(1)`; its gradient is computed in the same visit of a chunk."""

    @staticmethod
    def forward(ctx: Any, tokens_ND: Tensor, weight_VD: Tensor, rows: int) -> Tensor:
        log_sums_N = tokens_ND.new_empty(len(tokens_ND), dtype=_wide(tokens_ND))
        grad_ND = torch.empty_like(tokens_ND) if ctx.needs_input_grad[0] else None
        for start in range(0, len(tokens_ND), rows):
            chunk = slice(start, start + rows)
            logits_CV = (tokens_ND[chunk] @ weight_VD.T).to(log_sums_N.dtype)
            log_sums_N[chunk] = logits_CV.logsumexp(1)
            if grad_ND is not None:
                probabilities_CV = logits_CV.sub_(log_sums_N[chunk, None]).exp_()
                grad_ND[chunk] = (probabilities_CV.to(weight_VD.dtype) @ weight_VD).to(grad_ND.dtype)
        ctx.save_for_backward(grad_ND)
        return log_sums_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, None, None]:
        (grad_ND,) = ctx.saved_tensors
        return None if grad_ND is None else (grad_N[:, None] * grad_ND).to(grad_ND.dtype), None, None


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
