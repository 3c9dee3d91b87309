"""Media kinds: everything the data engine knows about a modality, in one registry.

    records.py   which content parts and members there are        name, extensions
    indexing.py  what a member's header says                       measure(bytes) -> MediaSize
    lengths.py   slot tokens from the index alone                  slot_length(size, limits)
    prompts.py   which token fills the slots                       slot_token
    decoding.py  bytes as model input                              process(bytes, limits) -> item
    loader.py    random changes of an item, in training only       augment(item, settings, random)
    collate.py   the items of a batch as an encoder's input        collate(items, modes, positions)

A new modality is a `MediaKind` and the names of its modes, given to `register_media_kind` from wherever it
lives; the model learns of them by `register_component`, `register_mode` and `register_modality`. Indexes
store names, so the order of registration means nothing. No heavy import here: phi4train's own kinds are
loaded when the registry is first asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from phi4train.errors import SampleError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from phi4train.batch import MediaInputs
    from phi4train.data.lengths import Limits
    from phi4train.data.spec_augment import SpecAugment
    from phi4train.data.tokenizer import Tokenizer

_RESERVED_NAMES = ("text", "video")  # content parts that are no kind of media


class MediaSize(NamedTuple):
    """What an index keeps of a member's header; a kind uses the numbers as it likes, the rest stay 0.

    `width` and `height` are below 2^32 (images: pixels), `frames` below 2^63 (audio: samples per channel),
    `sample_rate` below 2^32 (audio: Hz).
    """

    width: int = 0
    height: int = 0
    frames: int = 0
    sample_rate: int = 0


class MediaKind(Protocol):
    """One modality. Instances are hashable, can be pickled, and have no state that changes."""

    @property
    def name(self) -> str:
        """Type of its content parts (`{"type": name, name: member}`) and its key in `Batch.media`."""

    @property
    def version(self) -> int:
        """Raised whenever the same bytes give another item or length; part of the data fingerprint."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """Extensions of its members, lower case."""

    @property
    def slot_token(self) -> str:
        """Special token of the tokenizer that holds its places in a prompt, no other kind's.

        Unused by the chat template, and so free for a further kind: `<|tag|>`, `<|endofprompt|>`.
        """

    def measure(self, content: bytes) -> MediaSize:
        """What the header says, nothing decoded. Raises SampleError when the member can never be used."""

    def slot_length(self, size: MediaSize, limits: "Limits") -> int:
        """Tokens that an item of this size takes. Raises SampleError when it is beyond a limit."""

    def process(self, content: bytes, limits: "Limits") -> Any:
        """The item as its encoder's input. Raises SampleError when it does not decode within the limits."""

    def augment(self, item: Any, settings: "SpecAugment", random: "np.random.Generator") -> Any:
        """The item as one training step sees it: a changed copy, or the item itself."""

    def collate(self, items: Sequence[Any], modes: Sequence[str], positions: "Tensor") -> "MediaInputs":
        """The input of its encoder.

        Args:
            items: of a batch, in its order; at least one.
            modes: mode of each item's sample.
            positions: see MediaInputs.
        """

    def describe(self, size: MediaSize) -> str:
        """A few words on an item for `data show`: `640x480 px`."""

    def totals(self, sizes: Any) -> Mapping[str, float]:
        """Amounts that add up over items for `data check` and `data stats`, by unit: `{"hours": 0.2}`.

        Args:
            sizes: rows of an index, a field for each number of MediaSize.
        """


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


def slot_token_id(kind: MediaKind, tokenizer: "Tokenizer") -> int:
    """The id that holds this modality's places in a prompt.

    Raises:
        ValueError: the tokenizer has no such special token.
    """
    if kind.slot_token not in tokenizer.special_token_ids:
        raise ValueError(
            f"slot_token of the media kind '{kind.name}' is a special token of the tokenizer · found "
            f"{kind.slot_token} · choose one of {sorted(tokenizer.special_token_ids)}"
        )
    return tokenizer.special_token_ids[kind.slot_token]


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
    from phi4train.data.audio_kind import AudioKind
    from phi4train.data.image_kind import ImageKind

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
