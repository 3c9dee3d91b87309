"""Cross-entropy of media tokens against what their record says that they read; adds no parameters."""

from dataclasses import dataclass

from torch import Tensor

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.objectives.next_token import linear_cross_entropy
from phi4train.training.losses.loss import Forward, LossSums
from phi4train.training.losses.media_tokens import normed_tokens


@dataclass(frozen=True)
class ReadSlots:
    """Slots whose reading is known: their positions in the flat T axis and the ids that they read, int64."""

    positions: Tensor
    ids: Tensor

    @property
    def num_targets(self) -> int:
        """Slots with a known reading."""
        return len(self.ids)


class Reading:
    """Cross-entropy of media tokens: each learns to look like the id that its record says it reads."""

    name = "reading"

    def select(self, batch: Batch) -> ReadSlots:
        """The slots of the batch whose reading is known."""
        readings_T = batch.readings_T
        if readings_T is None:
            nothing = batch.input_ids_T[:0]
            return ReadSlots(nothing, nothing)
        positions = (readings_T != IGNORE_INDEX).nonzero().squeeze(1)
        return ReadSlots(positions, readings_T[positions])

    def sums(self, forward: Forward, selection: ReadSlots) -> LossSums:
        """See Loss; the embeddings get no gradient."""
        normed_ND = normed_tokens(forward, selection.positions)
        head_VD = forward.model.head_weight.detach()
        loss_sum, _ = linear_cross_entropy(normed_ND, head_VD, selection.ids)
        return LossSums(loss_sum)
