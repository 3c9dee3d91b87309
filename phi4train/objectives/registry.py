"""Which losses a recipe may name, without torch: the configuration is validated against them.

A loss of one's own is one file, which a recipe's `imports` names:

    register_loss(NamedLoss("smoothed", build_smoothed, settings={"smoothing": 0.1}))

`build_smoothed(LossContext)` returns a `phi4train.training.losses.loss.Loss`. A recipe then says
`objective: smoothed` and, if it likes, `objective_settings: {smoothing: 0.05}`; or it adds the loss to its
own objective with a weight, `auxiliary.extra: {smoothed: 0.5}`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class LossContext:
    """What a loss is built from.

    Args:
        settings: by name; those of the recipe over the loss's defaults.
        tokenizer: of the stage (`phi4train.data.samples.tokenizer.Tokenizer`).
    """

    settings: Mapping[str, float]
    tokenizer: Any


@dataclass(frozen=True)
class NamedLoss:
    """A loss that recipes may name.

    Args:
        name: as recipes spell it.
        build: makes the loss from a LossContext; of phi4train's own, `module:function`, imported when needed.
        settings: default of each number that `objective_settings` may give.
        num_branches: sequences of a sample that it compares: 1, or 2 of a preference.
    """

    name: str
    build: Callable[[LossContext], Any] | str
    settings: Mapping[str, float] = field(default_factory=dict)
    num_branches: int = 1


_LOSSES = {
    loss.name: loss
    for loss in (NamedLoss("next_token", "phi4train.training.losses.next_token:build_next_token"),)
}


def register_loss(loss: NamedLoss) -> None:
    """Makes a loss known to recipes.

    Raises:
        ValueError: the name is taken.
    """
    if loss.name in _LOSSES:
        raise ValueError(
            f"a loss must have a name of its own · found a second '{loss.name}' · choose another name"
        )
    _LOSSES[loss.name] = loss


def unregister_loss(name: str) -> None:
    """Forgets a loss."""
    del _LOSSES[name]


def known_losses() -> dict[str, NamedLoss]:
    """Every loss by name, which a run's `imports` decide."""
    return dict(_LOSSES)


def build_loss(name: str, settings: Mapping[str, float], tokenizer: Any) -> Any:
    """The loss of that name, which must be known.

    Args:
        settings: those that differ from the loss's defaults.
        tokenizer: of the stage.
    """
    loss = _LOSSES[name]
    context = LossContext({**loss.settings, **settings}, tokenizer)
    if isinstance(loss.build, str):
        module, function = loss.build.split(":")
        return getattr(import_module(module), function)(context)
    return loss.build(context)
