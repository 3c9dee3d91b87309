"""Media kinds: everything the data engine knows about a modality.

records.py   which content parts and members there are        name, extensions
indexing.py  how large a member is                             measure(bytes) -> MediaSize
lengths.py   slot tokens from the index alone                  slot_length(size, limits)
prompts.py   which token fills the slots                       slot_token
decoding.py  bytes as model input                              process(bytes, limits) -> item
encoding.py  whether an item fills its slots (CountsTokens)    item_length(item, limits)
loader.py    random changes of an item, in training only       augment(item, settings, random)
collate.py   the items of a batch as an encoder's input        collate(items, modes, positions)

"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from phi4train.batch import MediaInputs
    from phi4train.data.media.limits import Limits
    from phi4train.data.media.spec_augment import SpecAugment

Rows = NDArray[Any]
"""Rows of a table of an index."""


class MediaSize(NamedTuple):
    """What an index keeps of a member; a kind uses the numbers as it likes, the rest stay 0.

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
        """How large `process` will find it, without decoding it whole where the file can be counted.

        Raises SampleError when the member can never be used.
        """

    def slot_length(self, size: MediaSize, limits: "Limits") -> int:
        """Tokens that an item of this size takes. Raises SampleError when it is beyond a limit."""

    def process(self, content: bytes, limits: "Limits") -> Any:
        """The item as its encoder's input. Raises SampleError when it does not decode within the limits."""

    def augment(self, item: Any, settings: "SpecAugment", random: np.random.Generator) -> Any:
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

    def totals(self, sizes: Rows) -> Mapping[str, float]:
        """Amounts that add up over items for `data check` and `data stats`, by unit: `{"hours": 0.2}`.

        Args:
            sizes: rows of an index, a field for each number of MediaSize.
        """


@runtime_checkable
class CountsTokens(Protocol):
    """What a kind may have besides: a header that lies is then a bad sample, else it stops the training."""

    def item_length(self, item: Any, limits: "Limits") -> int:
        """Tokens that its encoder makes of an item of `process`."""
