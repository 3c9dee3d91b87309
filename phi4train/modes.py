"""Modes of samples: the kinds of media that a sample has decide its mode, and the mode its LoRA adapter.

Data looks a mode up by its media, the model an adapter by the mode, or by the kind of media of a single slot.
What a run adds, `phi4train.modality` declares. Source: the released code's InputMode (text 0, vision 1,
speech 2, vision_speech 3), where vision_speech uses the vision adapter.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """Samples whose media are of exactly these kinds.

    Args:
        name: as `Batch.modes` has it.
        kinds: of media, in any order.
        adapter: the LoRA of all their tokens under the routing rule `sample`; None: the base model alone.
    """

    name: str
    kinds: tuple[str, ...]
    adapter: str | None


_MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("text", (), None),
        Mode("vision", ("image",), "vision"),
        Mode("speech", ("audio",), "speech"),
        Mode("vision_speech", ("image", "audio"), "vision"),
    )
}
_ADAPTER_OF_KIND: dict[str, str] = {"image": "vision", "audio": "speech"}


def known_modes() -> tuple[Mode, ...]:
    """All modes, those of phi4train first."""
    return tuple(_MODES.values())


def find_mode(name: str) -> Mode | None:
    """The mode of this name, or None."""
    return _MODES.get(name)


def find_mode_of(kinds: Iterable[str]) -> Mode | None:
    """The mode of samples whose media have these kinds, or None."""
    present = frozenset(kinds)
    return next((mode for mode in _MODES.values() if frozenset(mode.kinds) == present), None)


def adapter_of_kind(kind: str) -> str | None:
    """The LoRA that slots of this kind of media use under the routing rule `token`, or None."""
    return _ADAPTER_OF_KIND.get(kind)


def add_mode(mode: Mode) -> None:
    """Makes a mode known; its name and its media must be free."""
    assert mode.name not in _MODES and find_mode_of(mode.kinds) is None, mode
    _MODES[mode.name] = mode


def add_adapter_of_kind(kind: str, adapter: str) -> None:
    """Says which LoRA the slots of a kind of media use."""
    _ADAPTER_OF_KIND[kind] = adapter


def forget_kind(kind: str) -> None:
    """Forgets the adapter of a kind of media, and all modes that have it."""
    _ADAPTER_OF_KIND.pop(kind, None)
    for mode in [mode for mode in _MODES.values() if kind in mode.kinds]:
        del _MODES[mode.name]
