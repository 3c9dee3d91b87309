"""An index belongs to one shard, one tokenizer and one template, and is replaced whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phi4train import files
from phi4train.data.samples.tokenizer import Tokenizer, train_bpe
from phi4train.data.shards import index
from phi4train.data.shards.arrays import MappedArrays
from phi4train.data.shards.index import IndexSummary, ShardIndex, clear_leftovers, index_folder, load_index
from phi4train.data.shards.indexing import build_index
from phi4train.data.shards.source import ShardSource
from phi4train.errors import ManifestError
from phi4train.files import claimed_folder
from tests.unit.data.small_shards import write_texts


@pytest.fixture
def build(tmp_path: Path, tokenizer: Tokenizer) -> Callable[[Path], IndexSummary]:
    return lambda path: build_index(str(path), path.name, tokenizer, ShardSource(tmp_path), tmp_path)


@pytest.fixture
def load(tmp_path: Path, tokenizer: Tokenizer) -> Callable[[Path], ShardIndex]:
    def loaded(path: Path) -> ShardIndex:
        folder = index_folder(str(path), tmp_path)
        source = ShardSource(tmp_path)
        return load_index(
            str(path), path.name, folder, tokenizer.fingerprint, source, MappedArrays(), "index it"
        )

    return loaded


def test_a_stale_index_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, build: Any, load: Any
) -> None:
    write_texts(tmp_path, 9)
    path = tmp_path / "text-000000.tar"
    with pytest.raises(ManifestError, match=r"no text-000000.tar.idx.*run `index it`"):
        load(path)
    build(path)
    load(path)
    folder = index_folder(str(path), tmp_path)
    other = train_bpe(["x y z"], 384, tmp_path / "t.json")
    with pytest.raises(ManifestError, match="tokenizer_fingerprint"):
        load_index(
            str(path), path.name, folder, other.fingerprint, ShardSource(tmp_path), MappedArrays(), "index it"
        )
    content = path.read_bytes()
    path.write_bytes(content + bytes(512))
    with pytest.raises(ManifestError, match="shard_bytes"):
        load(path)
    path.write_bytes(content[:600] + b"?" + content[601:])
    with pytest.raises(ManifestError, match="shard_probe"):
        load(path)
    path.write_bytes(content)
    (folder / "index.json").write_text("{")
    with pytest.raises(ManifestError, match=r"whose index\.json is as it was written"):
        load(path)
    (folder / "index.json").write_text("{}")
    with pytest.raises(ManifestError, match=r"whose index\.json is as it was written"):
        load(path)


def test_indexing_again_replaces_the_index_and_leaves_nothing_else(
    tmp_path: Path, build: Any, load: Any
) -> None:
    for seed in (0, 1):
        write_texts(tmp_path, 9, seed)
        build(tmp_path / "text-000000.tar")
    load(tmp_path / "text-000000.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text-000000.tar", "text-000000.tar.idx"]


def test_a_full_disk_keeps_the_old_index(
    tmp_path: Path, build: Any, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path, 9)
    path = tmp_path / "text-000000.tar"
    build(path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(ManifestError, match="No space left on device"):
        build(path)
    assert load(path).num_samples == 9 and len(list(tmp_path.iterdir())) == 2


def test_the_same_shard_gives_the_same_index(tmp_path: Path, build: Any) -> None:
    write_texts(tmp_path, 9)
    path = tmp_path / "text-000000.tar"
    build(path)
    folder = index_folder(str(path), tmp_path)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    build(path)
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}


def test_an_index_of_an_earlier_version_is_refused(tmp_path: Path, build: Any, load: Any) -> None:
    write_texts(tmp_path, 3)
    (path,) = tmp_path.glob("*.tar")
    build(path)
    summary = index_folder(str(path), tmp_path) / "index.json"
    summary.write_text(summary.read_text().replace(f'"version": {index.INDEX_VERSION}', '"version": 3'))
    with pytest.raises(
        ManifestError, match=r"must have an index with version \d+ · found 3 · run `index it`"
    ):
        load(path)


def test_what_killed_writers_left_beside_an_index_goes_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "s-[0].tar.idx"
    gone = [f"{folder.name}{end}" for end in (".tmp-1234abcd", ".tmp-old-1234abcd")]
    kept = ["other.tar.idx.tmp-1234abcd", "s-[0].tar.tmp-1", folder.name, "s-0.tar.idx.tmp-1"]
    for name in (*gone, *kept):
        (tmp_path / name).mkdir()
    clear_leftovers([folder, tmp_path / "nowhere" / "x.idx"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_an_index_that_a_living_writer_is_about_to_put_back_stays(tmp_path: Path) -> None:
    folder = tmp_path / "s.tar.idx"
    (tmp_path / "s.tar.idx.tmp-old-1").mkdir()
    with claimed_folder(folder) as temporary:
        clear_leftovers([folder])
        assert temporary.is_dir() and (tmp_path / "s.tar.idx.tmp-old-1").is_dir()
    clear_leftovers([folder])
    assert list(tmp_path.iterdir()) == []
