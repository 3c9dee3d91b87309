"""Which losses a recipe gets, and with which weights."""

import pytest

from phi4train.config.schema import AuxiliaryConfig
from phi4train.objectives.registry import NamedLoss, register_loss, unregister_loss
from phi4train.training.losses.chosen import build_losses
from phi4train.training.losses.next_token import NextToken
from tests.unit.training.tiny_speech import TOKENIZER


def named(
    config: AuxiliaryConfig, objective: str = "next_token", **settings: float
) -> list[tuple[str, float]]:
    losses = build_losses(objective, settings, config, TOKENIZER)  # type: ignore[arg-type]
    return [(own.loss.name, own.weight) for own in losses]


def test_the_objective_comes_first_and_auxiliaries_only_with_a_weight() -> None:
    assert named(AuxiliaryConfig(ctc_blank="not looked at")) == [("next_token", 1.0)]
    both = AuxiliaryConfig(ctc_weight=0.3, reading_weight=0.7)
    assert named(both) == [("next_token", 1.0), ("ctc", 0.3), ("reading", 0.7)]


def test_a_registered_loss_may_be_the_objective_with_settings_or_stand_beside_it() -> None:
    given = []

    class Other(NextToken):
        name = "other"

    register_loss(
        NamedLoss(
            "other", lambda context: given.append(dict(context.settings)) or Other(), {"a": 1.0, "b": 2.0}
        )
    )
    try:
        assert named(AuxiliaryConfig(), "other", b=5.0) == [("other", 1.0)]
        assert named(AuxiliaryConfig(extra={"other": 0.5})) == [("next_token", 1.0), ("other", 0.5)]
        assert named(AuxiliaryConfig(extra={"other": 0.0})) == [("next_token", 1.0)]
        with pytest.raises(ValueError, match="a second 'other'"):
            register_loss(NamedLoss("other", "x:y"))
    finally:
        unregister_loss("other")
    assert given == [{"a": 1.0, "b": 5.0}, {"a": 1.0, "b": 2.0}]
