"""Shard indexes: what is in a shard, as memory-mapped tables beside it, so that order needs no shard.

`<shard>.idx/` holds `samples.npy`, `media.npy`, `keys.npy` (one row or byte each, see the dtypes) and
`index.json`: an `IndexSummary`, size and checksum of each of these files, and a checksum of its own. It
belongs to one shard, one tokenizer and one chat template; a run refuses any other, and one that is not what
was written. `build_index` in `indexing.py` writes it.
"""

import glob
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from phi4train.data.media.kind import Rows
from phi4train.data.samples.prompts import CHAT_TEMPLATE_VERSION
from phi4train.data.samples.records import RECORD_VERSION
from phi4train.data.shards.arrays import (
    ArrayFile,
    DamagedArrayError,
    MappedArrays,
    require_size,
    write_array,
)
from phi4train.data.shards.manifest import is_url
from phi4train.data.shards.source import ByteSource
from phi4train.data.shards.tables import MEDIA_DTYPE, SAMPLE_DTYPE
from phi4train.errors import ManifestError, SampleError
from phi4train.files import (
    OLD_MARK,
    TEMPORARY_MARK,
    claimed_folder,
    locked_folder,
    publish_folder,
    remove_dead,
)

INDEX_VERSION = 5
_ARRAYS = {
    "samples.npy": SAMPLE_DTYPE,
    "media.npy": MEDIA_DTYPE,
    "keys.npy": np.dtype(np.uint8),
}
"""The files beside index.json, and what each of their rows is."""

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
        examples: row and message of the first samples of each cause.
        spelled_samples: usable samples whose texts spell control tokens.
        spellings: which ones, by how many samples, and the row of the first.
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
    examples: tuple[tuple[int, str], ...]
    spelled_samples: int
    spellings: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class ShardIndex:
    """The index of one shard.

    Args:
        location: path or URL of the shard.
        name: the shard as the manifest writes it, for messages and keys.
        folder: where the index lies.
        files: what its arrays are known by.
        command: indexes the shard, unless it has an index that fits.
    """

    location: str
    name: str
    folder: Path
    summary: IndexSummary
    files: Mapping[str, ArrayFile]
    arrays: MappedArrays
    command: str

    @property
    def num_samples(self) -> int:
        """Rows of `samples`."""
        return self.summary.num_samples

    @property
    def num_bytes(self) -> int:
        """Of its arrays on disk."""
        return sum(file.num_bytes for file in self.files.values())

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
        return self._array("samples.npy")

    @property
    def media(self) -> Rows:
        """Rows of MEDIA_DTYPE."""
        return self._array("media.npy")

    def key(self, row: int) -> str:
        """The key of a sample."""
        ends = self.samples["key_end"]
        start = int(ends[row - 1]) if row else 0
        return bytes(self._array("keys.npy")[start : int(ends[row])]).decode()

    def bad_sample(self, row: int) -> SampleError:
        """The error of a sample that was found unusable when it was indexed."""
        cause = self.causes[int(self.samples[row]["cause"]) - 1]
        message = dict(self.summary.examples).get(
            row,
            f"sample {self.key(row)} must be usable · found {cause} in its index · leave it out, or mend it "
            "and index its shard again",
        )
        return SampleError(cause, message)

    def check_arrays(self) -> None:
        """Compares all arrays with their checksums, which the first look at each would do anyway.

        Raises:
            ManifestError: one is not what was written.
        """
        for name in _ARRAYS:
            self._array(name)

    def _array(self, name: str) -> Rows:
        try:
            return self.arrays.load(self.folder, name, self.files[name], _ARRAYS[name])
        except DamagedArrayError as error:
            raise _damaged(self.name, name, str(error), self.command) from error


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
    key_bytes = np.frombuffer("".join(keys).encode(), dtype=np.uint8)
    try:
        with claimed_folder(folder) as temporary:
            files = {
                name: asdict(write_array(temporary / name, array))
                for name, array in zip(_ARRAYS, (samples, media, key_bytes), strict=True)
            }
            content = {"summary": asdict(summary), "files": files}
            document = json.dumps({**content, "sha256": _checksum(content)}, indent=1)
            (temporary / "index.json").write_text(document)
            with locked_folder(folder.parent):  # another process may be about to replace the same index
                publish_folder(temporary, folder)
    except OSError as error:
        raise ManifestError(
            f"index {folder} must be writable · found {error.strerror or error} · free space or mend "
            "permissions, then index it again"
        ) from error


def clear_leftovers(folders: Iterable[Path]) -> None:
    """Deletes what killed writers of these indexes left beside them; nothing of a living one."""
    names: dict[Path, set[str]] = {}
    for folder in folders:
        names.setdefault(folder.parent, set()).add(folder.name)
    for parent, known in names.items():
        left = [path for path in _temporaries(parent) if path.name.partition(TEMPORARY_MARK)[0] in known]
        remove_dead(path for path in left if OLD_MARK not in path.name)
        for aside in (path for path in left if OLD_MARK in path.name):
            name = aside.name.partition(TEMPORARY_MARK)[0]
            writers = {path.name for path in parent.glob(f"{glob.escape(name)}{TEMPORARY_MARK}*")}
            if all(OLD_MARK in writer for writer in writers):  # else one may be about to put it back
                remove_dead([aside])


def _temporaries(folder: Path) -> list[Path]:
    return list(folder.glob(f"*{TEMPORARY_MARK}*")) if folder.is_dir() else []


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
    command: str,
) -> ShardIndex:
    """The index of a shard, checked against the shard, the tokenizer and the chat template.

    A local shard is compared by size and a probe of its bytes, a remote one by its size. Of the index's own
    files index.json is compared with its checksum, arrays are with their sizes (see `check_arrays`).

    Args:
        command: what indexes the shard, for messages.

    Raises:
        ManifestError: there is no index, it is damaged, or it belongs to another shard, tokenizer or
            template.
    """
    summary, files = _read_index_json(name, folder, command)
    required = {
        "shard_bytes": source.size(location),
        "shard_probe": summary.shard_probe if is_url(location) else probe_shard(source, location),
        "tokenizer_fingerprint": tokenizer_fingerprint,
        "chat_template_version": CHAT_TEMPLATE_VERSION,
        "record_version": RECORD_VERSION,
    }
    for field, value in required.items():
        found = getattr(summary, field)
        if found != value:
            raise _index_error(name, f"have an index with {field} {value}", f"{found}", command)
    for array in _ARRAYS:
        try:
            require_size(folder / array, files[array])
        except DamagedArrayError as error:
            raise _damaged(name, array, str(error), command) from error
    return ShardIndex(location, name, folder, summary, files, arrays, command)


def _index_error(name: str, rule: str, found: str, command: str) -> ManifestError:
    """The error of a shard that must be indexed again."""
    return ManifestError(f"shard {name} must {rule} · found {found} · run `{command}`")


def _damaged(name: str, file: str, found: str, command: str) -> ManifestError:
    return _index_error(name, f"have an index whose {file} is as it was written", found, command)


def _checksum(content: Mapping[str, Any]) -> str:
    """Of what index.json holds besides."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_index_json(name: str, folder: Path, command: str) -> tuple[IndexSummary, dict[str, ArrayFile]]:
    try:
        values = json.loads((folder / "index.json").read_bytes())
        version = values["summary"]["version"] if "summary" in values else values["version"]
        if version == INDEX_VERSION:
            given = values.pop("sha256")
            if given != _checksum(values):
                raise _damaged(name, "index.json", "bytes that are not those that were written", command)
            known: dict[str, Any] = {f.name: _frozen(values["summary"][f.name]) for f in fields(IndexSummary)}
            files = {array: ArrayFile(**values["files"][array]) for array in _ARRAYS}
            return IndexSummary(**known), files
    except FileNotFoundError as error:
        raise _index_error(name, "have an index", f"no {folder.name}/index.json", command) from error
    except PermissionError as error:
        raise ManifestError(
            f"index {folder} must be readable · found {error.strerror} · mend its permissions"
        ) from error
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise _damaged(name, "index.json", f"{type(error).__name__}: {error}", command) from error
    raise _index_error(name, f"have an index with version {INDEX_VERSION}", f"{version!r:.40}", command)


def _frozen(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
