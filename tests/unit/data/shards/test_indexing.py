"""What an index records of a shard, and which shards are refused while it is built."""

import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards import indexing
from phi4train.data.shards.arrays import MappedArrays
from phi4train.data.shards.index import IndexSummary, ShardIndex, index_folder, load_index
from phi4train.data.shards.indexing import build_index
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import ManifestError
from tests.unit.data.small_shards import png, prefer, question, write_questions, write_texts

Member = tuple[str, bytes]


TEXT = json.dumps({"text": "the cat"}).encode()


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


def tar(path: Path, *members: Member | tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def test_offsets_lead_to_the_members(tmp_path: Path, build: Any, load: Any) -> None:
    write_questions(tmp_path, 5)
    path = tmp_path / "vision-000000.tar"
    summary = build(path)
    index, content = load(path), path.read_bytes()
    assert summary.num_samples == index.num_samples == 5
    for row in range(5):
        sample = index.samples[row]
        record = json.loads(content[int(sample["offset"]) :][: int(sample["size"])])
        assert record["task"] == "vqa" == summary.tasks[sample["task"]]
        assert summary.modes[sample["mode"]] == "vision" and index.key(row) == f"v{row:04d}"
        media = index.media[int(sample["media_start"])]
        image = content[int(media["offset"]) :][: int(media["size"])]
        assert image.startswith(b"\x89PNG") and image == png(int(media["width"]), int(media["height"]), row)


def test_token_counts_are_those_of_the_prompt(
    tmp_path: Path, build: Any, load: Any, tokenizer: Tokenizer
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", {"text": "the cat"})
        turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "dog"}]
        writer.write("b", {"messages": turns})
    build(writer.shards[0])
    rows = load(writer.shards[0]).samples
    text, hi, dog = (len(tokenizer.encode(each)) for each in ("the cat", "hi", "dog"))
    assert rows["branches"].tolist() == [1, 1]
    assert rows["text_tokens"].tolist() == [[text, 0], [1 + hi + 1 + 1 + dog + 1, 0]]
    assert rows["target_tokens"].tolist() == [[text, 0], [dog + 2, 0]]


def test_tokens_of_a_preference_are_stored_by_branch(
    tmp_path: Path, build: Any, load: Any, tokenizer: Tokenizer
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", prefer("0.png", chosen="cat", rejected="a dog runs"), {"0.png": png(9, 9)})
        writer.write("b", {"text": "the cat"})
    summary = build(writer.shards[0])
    (preference, _), (cat, runs) = (
        load(writer.shards[0]).samples,
        (len(tokenizer.encode(each)) for each in ("cat", "a dog runs")),
    )
    asked = 1 + len(tokenizer.encode("what")) + 2
    assert (summary.num_bad, int(preference["branches"]), int(preference["media_count"])) == (0, 2, 1)
    assert preference["text_tokens"].tolist() == [asked + cat + 1, asked + runs + 1]
    assert preference["target_tokens"].tolist() == [cat + 2, runs + 2]
    text = len(tokenizer.encode("the cat"))
    assert summary.text_tokens == 2 * (asked + 1) + cat + runs + text


def test_a_bad_sample_is_recorded_with_its_cause_and_stops_nothing(
    tmp_path: Path, build: Any, load: Any
) -> None:
    record = question(random.Random(0))
    path = tar(
        tmp_path / "s.tar",
        ("a.json", b"{"),
        ("b.json", TEXT),
        ("c.json", json.dumps(record).encode()),
        ("d.json", json.dumps(record).encode()),
        ("d.0.png", b"not a png"),
        ("e.0.png", png(9, 9)),
        ("f.json", json.dumps({"messages": [{"role": "user", "content": "x"}]}).encode()),
    )
    summary = build(path)
    index = load(path)
    causes = ["", *summary.causes]
    assert [causes[cause] for cause in index.samples["cause"]] == [
        "bad_json",
        "",
        "missing_media",
        "broken_image",
        "no_record",
        "no_targets",
    ]
    assert summary.num_bad == 5
    assert [index.key(row) for row in range(6)] == list("abcdef")


def test_shards_that_webdataset_wrote_can_be_indexed(tmp_path: Path, build: Any) -> None:
    import webdataset

    path = tmp_path / "w.tar"
    with webdataset.TarWriter(str(path)) as writer:
        for i in range(3):
            writer.write({"__key__": f"dir/k{i}", "json": question(random.Random(i)), "0.png": png(30, 20)})
    summary = build(path)
    assert (summary.num_samples, summary.num_bad, summary.unused_members) == (3, 0, 0)


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
        (("x.png", b""), "extension is unknown"),
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
    monkeypatch.setattr(indexing, "MAX_RECORD_BYTES", 10)
    with pytest.raises(ManifestError, match="too large"):
        build(tar(tmp_path / "s.tar", ("a.json", TEXT)))


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


def test_the_summary_holds_the_shards_checksum(tmp_path: Path, build: Any) -> None:
    import hashlib

    write_texts(tmp_path, 9)
    path = tmp_path / "text-000000.tar"
    assert build(path).shard_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
