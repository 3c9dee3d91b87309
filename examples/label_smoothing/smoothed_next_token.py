"""Next-token prediction with smoothed labels: a loss of one's own, in one file.

Each target shares a little of its weight out among all ids of the vocabulary, so that the model is never
pushed to be certain. `imports: [smoothed_next_token]` in a recipe is all that calls it.

Shape suffixes: M targets, D model dimension, V vocabulary.
Source: C. Szegedy et al., arXiv 1512.00567, section 7.
"""

import torch
from torch.nn import functional as F

from phi4train.batch import IGNORE_INDEX
from phi4train.objectives.registry import LossContext, NamedLoss, register_loss
from phi4train.training.losses.loss import Forward, LossSums, label_samples
from phi4train.training.losses.next_token import Labels, NextToken


class SmoothedNextToken(NextToken):
    """Cross-entropy against labels of which `smoothing` is spread evenly over the vocabulary.

    Holds the logits of all targets at once: meant for vocabularies as small as the demo's.

    Args:
        smoothing: share of each label that is spread, 0 (plain next-token prediction) to below 1.
    """

    name = "smoothed_next_token"

    def __init__(self, smoothing: float) -> None:
        self.smoothing = smoothing

    def sums(self, forward: Forward, selection: Labels) -> LossSums:
        """See Loss; also tells how far the model is from certain, the mean entropy of its predictions."""
        is_target = forward.batch.labels_T != IGNORE_INDEX
        labels_M = forward.batch.labels_T[is_target]
        logits_MV = (forward.hidden_TD[is_target] @ forward.model.head_weight.T).float()
        losses_M = F.cross_entropy(logits_MV, labels_M, reduction="none", label_smoothing=self.smoothing)
        with torch.no_grad():
            log_probs_MV = logits_MV.log_softmax(dim=-1)
            entropy = -(log_probs_MV.exp() * log_probs_MV).sum()
        return LossSums(
            losses_M.sum(), losses_M.detach(), label_samples(forward.batch), {"prediction_entropy": entropy}
        )


def _build(context: LossContext) -> SmoothedNextToken:
    return SmoothedNextToken(context.settings["smoothing"])


register_loss(NamedLoss("smoothed_next_token", _build, settings={"smoothing": 0.1}))
