"""The media kinds that are known, and the mode of a sample that has them.

Indexes store names, so the order of registration means nothing. phi4train's own kinds are loaded when the
registry is first asked; further ones come through `phi4train.modality`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from phi4train.data.media.kind import MediaKind
from phi4train.errors import SampleError
from phi4train.modes import Mode, add_mode, find_mode, find_mode_of, known_modes

_RESERVED_NAMES = ("text", "video")  # content parts that are no kind of media

_REGISTRY: dict[str, MediaKind] = {}


def add_media_kind(kind: MediaKind) -> None:
    """Makes a kind known; nothing of it may be taken."""
    _load_own_kinds()
    assert taken_by(kind) == [], kind
    _REGISTRY[kind.name] = kind


def remove_media_kind(name: str) -> None:
    """Forgets a kind."""
    del _REGISTRY[name]


def taken_by(kind: MediaKind) -> list[str]:
    """What of a kind's names belongs to another one, in words."""
    others = media_kinds()
    taken = {"json", *(extension for other in others for extension in other.extensions)}
    return [
        *(f"name '{kind.name}' taken" for name in (*_RESERVED_NAMES, *_REGISTRY) if name == kind.name),
        *(f"extension '{extension}' taken" for extension in kind.extensions if extension in taken),
        *(f"slot token {kind.slot_token} taken" for other in others if other.slot_token == kind.slot_token),
    ]


def media_kinds() -> tuple[MediaKind, ...]:
    """All known modalities."""
    _load_own_kinds()
    return tuple(_REGISTRY.values())


def find_media_kind(name: str) -> MediaKind | None:
    """The modality of this name, or None."""
    _load_own_kinds()
    return _REGISTRY.get(name)


def media_kind(name: str) -> MediaKind:
    """The modality of this name, which must be known."""
    kind = find_media_kind(name)
    assert kind is not None, name
    return kind


def kind_of_extension(extension: str) -> MediaKind | None:
    """The modality whose members have this extension, or None."""
    wanted = extension.lower()
    return next((kind for kind in media_kinds() if wanted in kind.extensions), None)


def mode_of(kinds: Iterable[str]) -> str:
    """The mode of a sample whose media have these kinds.

    Raises:
        SampleError: cause `no_mode`: no mode is registered for them.
    """
    present = frozenset(kinds)
    mode = find_mode_of(present)
    if mode is None:
        known = [" + ".join(sorted(mode.kinds)) for mode in known_modes() if mode.kinds]
        raise SampleError(
            "no_mode",
            f"the media of a sample must be one of {known} · found {' + '.join(sorted(present))} · leave the "
            "sample out, or import the modality that has a mode for them",
        )
    return mode.name


@dataclass(frozen=True)
class RegisteredKinds:
    """What is registered, to be carried into a worker process that starts from nothing."""

    kinds: tuple[MediaKind, ...]
    modes: tuple[Mode, ...]

    @classmethod
    def here(cls) -> "RegisteredKinds":
        """Of this process."""
        return cls(media_kinds(), known_modes())

    def register_missing(self) -> None:
        """Registers the kinds and modes that this process does not know."""
        for kind in self.kinds:
            if find_media_kind(kind.name) is None:
                add_media_kind(kind)
        for mode in self.modes:
            if find_mode(mode.name) is None:
                add_mode(mode)


@cache
def _load_own_kinds() -> None:
    from phi4train.data.media.audio_kind import AudioKind
    from phi4train.data.media.image_kind import ImageKind

    for kind in (ImageKind(), AudioKind()):
        _REGISTRY[kind.name] = kind
