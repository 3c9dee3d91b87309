"""The losses that a recipe names, with their weights."""

from collections.abc import Mapping

from phi4train.config.schema import AuxiliaryConfig
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.objectives.registry import build_loss
from phi4train.training.losses.ctc import build_ctc
from phi4train.training.losses.loss import WeightedLoss
from phi4train.training.losses.reading import Reading


def build_losses(
    objective: str, settings: Mapping[str, float], auxiliary: AuxiliaryConfig, tokenizer: Tokenizer
) -> list[WeightedLoss]:
    """The objective first, then the auxiliary losses that have a weight.

    Args:
        objective: its registered name.
        settings: numbers of the objective that differ from its defaults.
        auxiliary: weights of the losses beside it.
        tokenizer: of the stage.

    Raises:
        ConfigError: the blank of CTC is not one token.
    """
    losses = [WeightedLoss(build_loss(objective, settings, tokenizer), 1.0)]
    if auxiliary.ctc_weight:
        ctc = build_ctc(auxiliary.ctc_tasks, auxiliary.ctc_blank, tokenizer)
        losses.append(WeightedLoss(ctc, auxiliary.ctc_weight))
    if auxiliary.reading_weight:
        losses.append(WeightedLoss(Reading(), auxiliary.reading_weight))
    losses += [
        WeightedLoss(build_loss(name, {}, tokenizer), weight)
        for name, weight in auxiliary.extra.items()
        if weight
    ]
    return losses
