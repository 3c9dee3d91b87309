"""The objective of language models: cross-entropy of every labelled position against the next token."""

from dataclasses import dataclass

from phi4train.batch import Batch
from phi4train.objectives.next_token import linear_cross_entropy
from phi4train.objectives.registry import LossContext
from phi4train.training.losses.loss import Forward, LossSums, label_samples


@dataclass(frozen=True)
class Labels:
    """The labelled positions of a batch: all of them are targets."""

    num_targets: int


class NextToken:
    """See Loss."""

    name = "next_token"

    def select(self, batch: Batch) -> Labels:
        """See Loss."""
        return Labels(batch.num_targets)

    def sums(self, forward: Forward, selection: Labels) -> LossSums:
        """See Loss."""
        batch = forward.batch
        loss_sum, losses_M = linear_cross_entropy(
            forward.hidden_TD, forward.model.head_weight, batch.labels_T
        )
        return LossSums(loss_sum, losses_M, label_samples(batch))


def build_next_token(context: LossContext) -> NextToken:
    """The loss; it has no settings."""
    return NextToken()
