"""Shards are written whole or not at all, as the same bytes each time, and webdataset reads them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from phi4train.data.shards import source as shards
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import ManifestError


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
    with pytest.raises(ValueError, match="a key must have"), ShardWriter(tmp_path / "s") as writer:
        writer.write(key, {"text": "x"})


def test_a_key_is_used_once_and_media_have_known_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"), ShardWriter(tmp_path / "s") as writer:
        writer.write("a", {"text": "x"})
        writer.write("a", {"text": "x"})
    with pytest.raises(ValueError, match="a media name"), ShardWriter(tmp_path / "t") as writer:
        writer.write("a", {"text": "x"}, {"0.exe": b""})


def test_what_a_killed_writer_left_goes_when_the_next_begins(tmp_path: Path) -> None:
    left, others = tmp_path / "s-000003.tar.tmp-99", ["s-x.tar.tmp-1", "t-000000.tar.tmp-1", "s-000000.tar"]
    for name in (left.name, *others):
        (tmp_path / name).touch()
    with ShardWriter(tmp_path / "s", max_shard_bytes=1) as writer:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
        writer.write("a", {"text": "x"})
        with ShardWriter(tmp_path / "s"):
            assert list(tmp_path.glob("s-000000.tar.tmp-*")), "of a living one it stays"
    assert writer.shards == [tmp_path / "s-000000.tar"]
