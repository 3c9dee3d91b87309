"""Which members of a shard are refused, and what of a hostile tar is never read."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards import members
from phi4train.data.shards.index import IndexSummary, index_folder
from phi4train.data.shards.indexing import build_index
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import ManifestError
from tests.unit.data.small_shards import Member, tar

TEXT = json.dumps({"text": "the cat"}).encode()


@pytest.fixture
def build(tmp_path: Path, tokenizer: Tokenizer) -> Callable[[Path], IndexSummary]:
    return lambda path: build_index(str(path), path.name, tokenizer, ShardSource(tmp_path), tmp_path)


def special(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "a.json"
    return member


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (("/etc/x.json", TEXT), "absolute"),
        (("../../x.json", TEXT), r"'\.\.'"),
        (("a/../x.json", TEXT), r"'\.\.'"),
        (("c:\\x.json", TEXT), "absolute"),
        (("x\x1b[2J.json", TEXT), "control characters"),
        (("x.pyd", b"cos\nsystem"), "extension is unknown"),
        (("x", b""), "extension is unknown"),
        ((".json", TEXT), "no key"),
        (("x.gif.exe", b""), "extension is unknown"),
        ((".png", b""), "no key: it begins with a dot"),
        (("._a.json", b""), "no key: it begins with a dot"),
        (("x" * 1020 + ".json", TEXT), "longer than 1024 bytes"),
        (("b.json", TEXT), "there twice"),
        (("a.0.png", b""), "closed before"),
        (special("l.json", tarfile.SYMTYPE), "not a regular file"),
        (special("l.json", tarfile.LNKTYPE), "not a regular file"),
        (special("l.json", tarfile.CHRTYPE), "not a regular file"),
        (special("l.json", tarfile.FIFOTYPE), "not a regular file"),
    ],
)
def test_hostile_members_are_refused_by_name(
    tmp_path: Path, build: Any, member: Member | tarfile.TarInfo, reason: str
) -> None:
    path = tar(tmp_path / "s.tar", ("a.json", TEXT), ("b.json", TEXT), member)
    with pytest.raises(ManifestError, match=reason) as caught:
        build(path)
    assert "shard s.tar must hold only" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not index_folder(str(path), tmp_path).exists()


def with_header(name: str = "h.json", size: bytes = b"", pax: dict[str, str] | None = None) -> bytes:
    """A tar member whose header says what no writer would."""
    member = tarfile.TarInfo(name)
    member.size, member.pax_headers = len(TEXT), pax or {}
    header = bytearray(member.tobuf(tarfile.PAX_FORMAT if pax else tarfile.USTAR_FORMAT))
    if size:
        block = memoryview(header)[-512:]
        block[124:136], block[148:156] = size, b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
    return bytes(header) + TEXT + bytes(-len(TEXT) % 512)


@pytest.mark.parametrize(
    "member",
    [
        with_header(size=b"\xff" * 11 + b"\x00"),
        with_header(size=b"\xff" * 4 + b"\x80" + b"\x00" * 7),
        with_header(size=b"\x80" + b"\xff" * 11),
        with_header(size=b"7777777777z\0"),
        with_header(pax={"size": "-4096"}),
        with_header(pax={"size": "many"}),
        with_header(pax={"size": "9" * 400}),
        with_header(pax={"GNU.sparse.map": "many"}),
        with_header(pax={"GNU.sparse.size": "many"}),
        with_header(pax={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "x"}),
        with_header(pax={"hdrcharset": "x"}).replace(b"hdrcharset=x", b"hdrcharset=\xff"),
    ],
)
def test_hostile_headers_are_refused(tmp_path: Path, build: Any, member: bytes) -> None:
    path = tar(tmp_path / "s.tar", ("a.json", TEXT))
    path.write_bytes(path.read_bytes()[:1024] + member + bytes(1024))
    with pytest.raises(ManifestError, match=r"shard s.tar must (be a complete tar|hold only)"):
        build(path)
    assert not index_folder(str(path), tmp_path).exists()


def test_all_hostile_members_are_listed(tmp_path: Path, build: Any) -> None:
    path = tar(tmp_path / "s.tar", *((f"{i}.exe", b"") for i in range(30)))
    with pytest.raises(ManifestError, match="and 10 more") as caught:
        build(path)
    assert "'0.exe'" in str(caught.value) and "'19.exe'" in str(caught.value)


def test_an_oversized_member_is_refused_before_it_is_read(
    tmp_path: Path, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MAX_MEDIA_BYTES", 2000)
    with pytest.raises(ManifestError, match="it has 2001 bytes, and media may have 2000"):
        build(tar(tmp_path / "s.tar", ("a.json", TEXT), ("a.png", bytes(2001))))


def long_names(number: int, size: int = 600) -> bytes:
    """Headers that each carry a long name for what follows."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, size
    return (header.tobuf(tarfile.GNU_FORMAT) + b"n" * size + bytes(-size % 512)) * number


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (long_names(3_000), "its headers are chained too deeply"),
        (long_names(1, 60 * 2**20), "a header of 62914560 bytes, more than 65536"),
    ],
    ids=["chained", "long"],
)
def test_names_that_would_fill_memory_are_refused(
    headers: bytes, reason: str, tmp_path: Path, build: Any
) -> None:
    path = tar(tmp_path / "s.tar", ("a.json", TEXT))
    path.write_bytes(path.read_bytes()[:1024] + headers + bytes(1024))
    with pytest.raises(ManifestError, match=reason) as caught:
        build(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [100, 512, 700, 1024, 1536, 2048, 2560, 3000, 3071])
def test_a_shard_cut_anywhere_is_refused(tmp_path: Path, build: Any, kept: int) -> None:
    path = tmp_path / "s.tar"
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", {"text": "x" * 600})
        writer.write("b", {"text": "x"})
    whole = writer.shards[0].read_bytes()
    assert len(whole) == 3 * 512 + 2 * 512 + 1024
    path.write_bytes(whole[:kept])
    with pytest.raises(ManifestError, match=r"complete tar.*index it again"):
        build(path)


def test_a_damaged_header_in_the_middle_is_refused(tmp_path: Path, build: Any) -> None:
    path = tar(tmp_path / "s.tar", *((f"{i}.json", TEXT) for i in range(4)))
    content = bytearray(path.read_bytes())
    content[2048 + 100] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ManifestError, match="truncated or corrupt"):
        build(path)
