"""Shard indexes: what is in a shard, as memory-mapped tables beside it, so that order needs no shard.

`<shard>.idx/` holds `samples.npy`, `media.npy`, `keys.npy` (one row or byte each, see the dtypes) and
`index.json` (`IndexSummary`). It belongs to one shard, one tokenizer and one chat template; a run
refuses any other. `build_index` in `indexing.py` writes it.
"""

import hashlib
import json
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from phi4train.data.media.kind import Rows
from phi4train.data.samples.prompts import CHAT_TEMPLATE_VERSION
from phi4train.data.samples.records import RECORD_VERSION
from phi4train.data.shards.manifest import is_url
from phi4train.data.shards.source import ByteSource
from phi4train.errors import ManifestError
from phi4train.files import publish_folder, temporary_name

INDEX_VERSION = 5


INDEX_AGAIN = "index it again"
"""What mends an index; who knows the manifest says with which command."""

_PROBE_BYTES = 4096


@dataclass(frozen=True)
class IndexSummary:
    """What `index.json` says about a shard.

    Args:
        shard_probe: sha256 of three short spans, which a run can afford to compare at its start.
        tasks: names behind the `task` column.
        causes: why samples are unusable, behind the `cause` column.
        text_tokens, target_tokens: over all branches of all samples.
        modes: names behind the `mode` column.
        media_kinds: names behind the `kind` column of the media.
        unused_members: media members that no record mentions.
    """

    version: int
    shard_bytes: int
    shard_sha256: str
    shard_probe: str
    tokenizer_fingerprint: str
    chat_template_version: int
    record_version: int
    num_samples: int
    num_bad: int
    text_tokens: int
    target_tokens: int
    unused_members: int
    tasks: tuple[str, ...]
    causes: tuple[str, ...]
    modes: tuple[str, ...]
    media_kinds: tuple[str, ...]


class MappedArrays:
    """Memory-mapped .npy files, the least recently used closed beyond `max_open`."""

    def __init__(self, max_open: int = 4096) -> None:
        self._max_open = max_open
        self._arrays: OrderedDict[tuple[str, str], Rows] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"_max_open": self._max_open, "_arrays": OrderedDict()}

    def load(self, folder: Path, name: str) -> Rows:
        """The array in `folder/name`, read-only, without reading it."""
        place = (str(folder), name)
        if place not in self._arrays:
            if len(self._arrays) >= self._max_open:
                self._arrays.popitem(last=False)
            mapped = np.load(folder / name, mmap_mode="r", allow_pickle=False)
            self._arrays[place] = mapped.view(np.ndarray)  # np.memmap's own indexing is slow
        self._arrays.move_to_end(place)
        return self._arrays[place]


@dataclass(frozen=True)
class ShardIndex:
    """The index of one shard.

    Args:
        location: path or URL of the shard.
        name: the shard as the manifest writes it, for messages and keys.
        folder: where the index lies.
    """

    location: str
    name: str
    folder: Path
    summary: IndexSummary
    arrays: MappedArrays

    @property
    def num_samples(self) -> int:
        """Rows of `samples`."""
        return self.summary.num_samples

    @property
    def causes(self) -> tuple[str, ...]:
        """Names behind the `cause` column."""
        return self.summary.causes

    @property
    def media_kinds(self) -> tuple[str, ...]:
        """Names behind the `kind` column of the media."""
        return self.summary.media_kinds

    @property
    def samples(self) -> Rows:
        """Rows of SAMPLE_DTYPE."""
        return self.arrays.load(self.folder, "samples.npy")

    @property
    def media(self) -> Rows:
        """Rows of MEDIA_DTYPE."""
        return self.arrays.load(self.folder, "media.npy")

    def key(self, row: int) -> str:
        """The key of a sample."""
        ends = self.samples["key_end"]
        start = int(ends[row - 1]) if row else 0
        keys = self.arrays.load(self.folder, "keys.npy")
        return bytes(keys[start : int(ends[row])]).decode()


def index_folder(location: str, cache_dir: Path) -> Path:
    """Where the index of a shard lies: beside a local shard, in `cache_dir` for a remote one."""
    if is_url(location):
        return cache_dir / "indexes" / hashlib.sha256(location.encode()).hexdigest()
    return Path(f"{location}.idx")


def write_index(folder: Path, summary: IndexSummary, samples: Rows, media: Rows, keys: Sequence[str]) -> None:
    """Writes all files of an index; the folder appears, or is replaced, by a rename.

    Raises:
        ManifestError: the disk is full or not writable; the index that was there stays.
    """
    temporary = temporary_name(folder)
    try:
        temporary.mkdir(parents=True)
        key_bytes = np.frombuffer("".join(keys).encode(), dtype=np.uint8)
        for name, array in (("samples", samples), ("media", media), ("keys", key_bytes)):
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        (temporary / "index.json").write_text(json.dumps(asdict(summary), indent=1))
        publish_folder(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise ManifestError(
            f"index {folder} must be writable · found {error.strerror or error} · free space or mend "
            "permissions, then index it again"
        ) from error


def probe_shard(source: ByteSource, location: str) -> str:
    """sha256 of the first, middle and last bytes of a shard: cheap, and sees most changes."""
    total = source.size(location)
    span = min(_PROBE_BYTES, total)
    spots = (0, (total - span) // 2, total - span)
    content = b"".join(source.read(location, offset, span) for offset in spots)
    return hashlib.sha256(content).hexdigest()


def load_index(
    location: str,
    name: str,
    folder: Path,
    tokenizer_fingerprint: str,
    source: ByteSource,
    arrays: MappedArrays,
) -> ShardIndex:
    """The index of a shard, checked against the shard, the tokenizer and the chat template.

    A local shard is compared by size and a probe of its bytes, a remote one by its size.

    Raises:
        ManifestError: there is no index, or it belongs to another shard, tokenizer or template.
    """
    summary = _read_summary(name, folder)
    required = {
        "version": INDEX_VERSION,
        "shard_bytes": source.size(location),
        "shard_probe": summary.shard_probe if is_url(location) else probe_shard(source, location),
        "tokenizer_fingerprint": tokenizer_fingerprint,
        "chat_template_version": CHAT_TEMPLATE_VERSION,
        "record_version": RECORD_VERSION,
    }
    for field, value in required.items():
        found = getattr(summary, field)
        if found != value:
            raise index_error(name, f"have an index with {field} {value}", f"{found}")
    return ShardIndex(location, name, folder, summary, arrays)


def index_error(name: str, rule: str, found: str) -> ManifestError:
    """The error of a shard that must be indexed again."""
    return ManifestError(f"shard {name} must {rule} · found {found} · {INDEX_AGAIN}")


def _read_summary(name: str, folder: Path) -> IndexSummary:
    try:
        values = json.loads((folder / "index.json").read_bytes())
        missing = [f.name for f in fields(IndexSummary) if f.name not in values]
    except FileNotFoundError as error:
        raise index_error(name, "have an index", f"no {folder.name}/index.json") from error
    except (OSError, ValueError, TypeError) as error:
        raise index_error(name, "have a readable index.json", str(error)) from error
    if missing:
        raise index_error(name, "have a complete index.json", f"no {', '.join(missing)}")
    known: dict[str, Any] = {
        f.name: tuple(value) if isinstance(value := values[f.name], list) else value
        for f in fields(IndexSummary)
    }
    return IndexSummary(**known)
