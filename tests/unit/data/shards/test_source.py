"""Bytes of shards: exactly those asked for, on disk and from URLs, with few open files and a small cache."""

import pickle
import resource
from pathlib import Path

import pytest

from phi4train.data.shards import source as shards
from phi4train.data.shards.manifest import is_url
from phi4train.data.shards.source import LocalSource, RemoteSource, ShardSource
from phi4train.errors import ManifestError


@pytest.mark.parametrize("location", ["pipe:cat x", "ftp://h/x.tar", "file:///etc/passwd", "github://a/b"])
def test_only_known_url_schemes_are_read(location: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="a remote shard must start with one of"):
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


def test_open_files_are_a_small_part_of_what_the_process_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    for allowed, kept in ((20, 2), (64, 4), (1024, 64), (1_000_000, 64)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, allowed=allowed: (allowed, allowed))
        assert LocalSource()._max_open == kept
