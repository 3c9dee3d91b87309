"""Shards: written whole or not at all, the same bytes each time, readable by webdataset and from URLs."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from phi4train.data.shards import source as shards
from phi4train.data.shards.manifest import is_url
from phi4train.data.shards.source import LocalSource, RemoteSource, ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import ManifestError
from phi4train.files import write_atomically


def write(root: Path, number: int = 6, max_shard_bytes: int = 2**20) -> list[Path]:
    with ShardWriter(root / "s", max_shard_bytes) as writer:
        for i in range(number):
            writer.write(f"k{i}", {"text": "x" * 100, "task": "lm"}, {"0.png": bytes([i]) * 50})
    return writer.shards


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a"), write(tmp_path / "b")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_a_shard_is_closed_before_it_grows_too_large(tmp_path: Path) -> None:
    paths = write(tmp_path, number=10, max_shard_bytes=6_200)
    assert [path.name for path in paths] == [f"s-{i:06d}.tar" for i in range(5)]
    assert all(path.stat().st_size <= 6_200 for path in paths)


# webdataset leaves closing its file to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_our_shards(tmp_path: Path) -> None:
    import webdataset

    (path,) = write(tmp_path)
    samples = list(webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False))
    assert [sample["__key__"] for sample in samples] == [f"k{i}" for i in range(6)]
    assert json.loads(samples[2]["json"])["task"] == "lm" and samples[2]["0.png"] == b"\2" * 50


def test_nothing_appears_before_a_shard_is_complete(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path / "s")
    writer.write("a", {"text": "x"})
    assert not list(tmp_path.glob("*.tar"))
    with writer:
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["s-000000.tar"]


def test_an_error_inside_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path / "s") as writer:
        writer.write("a", {"text": "x"})
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


class FullDisk(io.BufferedWriter):
    def write(self, content: Any) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    if failing == "fsync":
        monkeypatch.setattr(shards.os, "fsync", full)
    else:
        monkeypatch.setattr(shards.Path, "open", lambda path, mode: FullDisk(io.FileIO(path, "w")))
    with pytest.raises(ManifestError, match=r"No space left.*nothing was left half-written"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["", "../a", "/a", "a.b", "a b", "a//b", "é", "a\n"])
def test_unusable_keys_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="a key has"), ShardWriter(tmp_path / "s") as writer:
        writer.write(key, {"text": "x"})


def test_a_key_is_used_once_and_media_have_known_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"), ShardWriter(tmp_path / "s") as writer:
        writer.write("a", {"text": "x"})
        writer.write("a", {"text": "x"})
    with pytest.raises(ValueError, match="a media name"), ShardWriter(tmp_path / "t") as writer:
        writer.write("a", {"text": "x"}, {"0.exe": b""})


@pytest.mark.parametrize("location", ["pipe:cat x", "ftp://h/x.tar", "file:///etc/passwd", "github://a/b"])
def test_only_known_url_schemes_are_read(location: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="a remote shard starts with one of"):
        is_url(location)
    with pytest.raises(ManifestError):
        ShardSource(tmp_path).read(location, 0, 1)


def test_a_local_read_beyond_the_end_says_that_the_shard_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"abc")
    source = LocalSource()
    assert source.read(str(path), 1, 2) == b"bc" and source.size(str(path)) == 3
    with pytest.raises(ManifestError, match=r"truncated or\s+changed"):
        source.read(str(path), 2, 2)


def test_few_files_stay_open_and_pickling_drops_them(tmp_path: Path) -> None:
    source = LocalSource(max_open=2)
    for i in range(5):
        path = tmp_path / f"{i}"
        path.write_bytes(bytes([i]))
        assert source.read(str(path), 0, 1) == bytes([i])
    assert len(source._handles) == 2
    assert pickle.loads(pickle.dumps(source)).read(str(tmp_path / "0"), 0, 1) == b"\0"


class FakeRemote:
    """A remote file system that counts what is fetched."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.fetched: list[tuple[int, int]] = []

    def size(self, path: str) -> int:
        return len(self.content)

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        self.fetched.append((start, end))
        return self.content[start:end]


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> FakeRemote:
    fake = FakeRemote(bytes(range(256)) * 8)
    monkeypatch.setattr(shards, "_file_system", lambda location: (fake, location))
    return fake


def test_remote_bytes_are_fetched_once_and_equal_the_files(tmp_path: Path, remote: FakeRemote) -> None:
    source = RemoteSource(tmp_path, chunk_bytes=100)
    for offset, size in ((0, 1), (95, 10), (1990, 58), (0, 2048), (7, 0)):
        assert source.read("https://h/s.tar", offset, size) == remote.content[offset : offset + size]
    assert len(remote.fetched) == len(set(remote.fetched)) == 21


def test_the_cache_stays_within_its_bytes_and_drops_the_least_recently_used(
    tmp_path: Path, remote: FakeRemote
) -> None:
    source = RemoteSource(tmp_path, max_cache_bytes=350, chunk_bytes=100)
    for offset in (0, 100, 200, 0, 300):
        source.read("https://h/s.tar", offset, 10)
    cached = list((tmp_path / "chunks").iterdir())
    assert sum(path.stat().st_size for path in cached) <= 350
    before = len(remote.fetched)
    source.read("https://h/s.tar", 0, 10)
    assert len(remote.fetched) == before


def test_cache_names_hold_nothing_of_the_url(tmp_path: Path, remote: FakeRemote) -> None:
    RemoteSource(tmp_path, chunk_bytes=100).read("https://h/../../etc/passwd", 0, 10)
    (path,) = (tmp_path / "chunks").iterdir()
    assert len(path.name) == 64 and int(path.name, 16) >= 0


def test_a_short_remote_answer_is_not_cached(tmp_path: Path, remote: FakeRemote) -> None:
    source = RemoteSource(tmp_path, chunk_bytes=100)
    source.size("https://h/s.tar")
    remote.content = remote.content[:150]
    with pytest.raises(ManifestError, match="truncated"):
        source.read("https://h/s.tar", 120, 50)
    assert not list(tmp_path.rglob("*.tmp*")) and not (tmp_path / "chunks").exists()


def test_an_atomic_write_that_fails_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    write_atomically(path, b"old")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
