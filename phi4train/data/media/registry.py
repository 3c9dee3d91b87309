"""The media kinds that are known, and the modes of samples that have them.

Indexes store names, so the order of registration means nothing. phi4train's own kinds are loaded when the
registry is first asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from phi4train.data.media.kind import MediaKind
from phi4train.errors import SampleError

_RESERVED_NAMES = ("text", "video")  # content parts that are no kind of media


@dataclass
class _Registry:
    kinds: dict[str, MediaKind] = field(default_factory=dict)
    modes: dict[frozenset[str], str] = field(default_factory=lambda: {frozenset(): "text"})


_REGISTRY = _Registry()


def register_media_kind(kind: MediaKind, modes: Mapping[str, Iterable[str]]) -> None:
    """Makes a modality known, with the modes of samples that have it.

    Args:
        modes: by mode, the kinds of media that its samples have: `{"sensor": ["sensor"]}`. Samples whose
            media are a set that no mode names cannot be used.

    Raises:
        ValueError: the name, an extension, a slot token or a mode is taken.
    """
    _load_own_kinds()
    _register(kind, modes)


def unregister_media_kind(name: str) -> None:
    """Forgets a modality and all modes that have it."""
    del _REGISTRY.kinds[name]
    for kinds in [kinds for kinds in _REGISTRY.modes if name in kinds]:
        del _REGISTRY.modes[kinds]


def media_kinds() -> tuple[MediaKind, ...]:
    """All known modalities."""
    _load_own_kinds()
    return tuple(_REGISTRY.kinds.values())


def find_media_kind(name: str) -> MediaKind | None:
    """The modality of this name, or None."""
    _load_own_kinds()
    return _REGISTRY.kinds.get(name)


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
    _load_own_kinds()
    present = frozenset(kinds)
    if present not in _REGISTRY.modes:
        known = [" + ".join(sorted(names)) for names in _REGISTRY.modes if names]
        raise SampleError(
            "no_mode", f"the media of a sample are one of {known} · found {' + '.join(sorted(present))}"
        )
    return _REGISTRY.modes[present]


@dataclass(frozen=True)
class RegisteredKinds:
    """What is registered, to be carried into a worker process that starts from nothing."""

    kinds: tuple[MediaKind, ...]
    modes: Mapping[frozenset[str], str]

    @classmethod
    def here(cls) -> "RegisteredKinds":
        """Of this process."""
        return cls(media_kinds(), dict(_REGISTRY.modes))

    def register_missing(self) -> None:
        """Registers the kinds that this process does not know."""
        for kind in self.kinds:
            if find_media_kind(kind.name) is None:
                modes = {mode: kinds for kinds, mode in self.modes.items() if kinds not in _REGISTRY.modes}
                _register(kind, {mode: kinds for mode, kinds in modes.items() if kind.name in kinds})


@cache
def _load_own_kinds() -> None:
    from phi4train.data.media.audio_kind import AudioKind
    from phi4train.data.media.image_kind import ImageKind

    _register(ImageKind(), {"vision": ["image"]})
    _register(AudioKind(), {"speech": ["audio"], "vision_speech": ["image", "audio"]})


def _register(kind: MediaKind, modes: Mapping[str, Iterable[str]]) -> None:
    others = list(_REGISTRY.kinds.values())
    taken = {"json", *(extension for other in others for extension in other.extensions)}
    found = {mode: frozenset(kinds) for mode, kinds in modes.items()}
    problems = [
        *(f"name '{kind.name}'" for name in (*_RESERVED_NAMES, *_REGISTRY.kinds) if name == kind.name),
        *(f"extension '{extension}'" for extension in kind.extensions if extension in taken),
        *(f"slot token {kind.slot_token}" for other in others if other.slot_token == kind.slot_token),
        *(f"mode '{mode}'" for mode in found if mode in _REGISTRY.modes.values()),
        *(f"media {sorted(kinds)}" for kinds in found.values() if kinds in _REGISTRY.modes),
    ]
    if problems:
        raise ValueError(f"a media kind has names of its own · taken: {', '.join(problems)} · rename them")
    _REGISTRY.kinds[kind.name] = kind
    _REGISTRY.modes.update({kinds: mode for mode, kinds in found.items()})
