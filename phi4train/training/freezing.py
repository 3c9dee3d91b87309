"""Freezing in plain sight, with a report before the stage and a proof after it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from phi4train.checkpoint.artifact import hash_tensors
from phi4train.errors import FrozenParameterError
from phi4train.model.ownership import Ownership


@dataclass(frozen=True)
class ComponentState:
    """One line of the freeze report."""

    component: str
    num_parameters: int
    num_trainable: int
    origin: str


def freeze_all_but(owned: Ownership, trainable: Collection[str]) -> None:
    """Leaves exactly the named components trainable, in train mode; all others are frozen, in eval mode."""
    owned.model.requires_grad_(False)
    owned.model.eval()
    for component in trainable:
        for parameter in owned.parameters(component).values():
            parameter.requires_grad_(True)
        for module in owned.modules(component):
            module.train()


def freeze_report(owned: Ownership, origins: Mapping[str, str]) -> list[ComponentState]:
    """How many parameters of each component train, and where their values came from."""
    report = []
    for component in owned.components:
        parameters = owned.parameters(component).values()
        report.append(
            ComponentState(
                component=component,
                num_parameters=sum(p.numel() for p in parameters),
                num_trainable=sum(p.numel() for p in parameters if p.requires_grad),
                origin=origins[component],
            )
        )
    return report


def hash_frozen(owned: Ownership, trainable: Collection[str]) -> dict[str, str]:
    """Sha256 of every parameter and buffer that must not move, by its name in the model."""
    return {name: hash_tensors({name: t}) for name, t in owned.tensors_of_others(trainable).items()}


def assert_nothing_frozen_moved(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Compares two results of `hash_frozen`.

    Raises:
        FrozenParameterError: a tensor changed, appeared or vanished; it names the first ten.
    """
    moved = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if moved:
        raise FrozenParameterError(
            "every tensor outside of the stage's trainable components must be bit-identical after it · "
            f"found {len(moved)} that moved ({', '.join(moved[:10])}) · find what writes to them, or add "
            "their component to trainable; nothing was saved after they moved"
        )
