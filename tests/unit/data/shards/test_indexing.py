"""What an index records of a shard."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards import indexing
from phi4train.data.shards.arrays import MappedArrays
from phi4train.data.shards.index import IndexSummary, ShardIndex, index_folder, load_index
from phi4train.data.shards.indexing import build_index
from phi4train.data.shards.members import MAX_RECORD_BYTES
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from tests.unit.data.small_shards import ask, png, prefer, question, tar, write_questions, write_texts

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


def test_a_record_that_is_too_large_is_a_bad_sample_and_never_read(
    tmp_path: Path, build: Any, load: Any
) -> None:
    large = json.dumps({"text": "x" * MAX_RECORD_BYTES}).encode()
    path = tar(tmp_path / "s.tar", ("a.json", TEXT), ("b.json", large), ("c.json", TEXT))
    assert build(path).num_bad == 1
    error = load(path).bad_sample(1)
    assert error.cause == "record_too_large"
    assert f"at most 4,194,304 bytes · found {len(large):,} · split" in str(error)


def test_tasks_beyond_a_bound_are_bad_samples(
    tmp_path: Path, build: Any, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "MAX_TASKS", 3)
    records = [json.dumps({"text": "x", "task": f"t{i % 5}"}).encode() for i in range(10)]
    path = tar(tmp_path / "s.tar", *((f"{i}.json", record) for i, record in enumerate(records)))
    summary = build(path)
    assert (summary.tasks, summary.num_bad) == (("t0", "t1", "t2"), 4)
    assert "at most 3 different tasks · found 't3' beyond them" in str(load(path).bad_sample(3))


@pytest.mark.parametrize("name", ["0.jpg", "jpg", "dog.jpg"])
def test_a_medium_beside_its_record_may_have_no_name_of_its_own(
    name: str, tmp_path: Path, build: Any, load: Any
) -> None:
    image = png(30, 20)
    record = json.dumps(ask(name)).encode()
    both = [("a/dog.json", record), ("a/dog.0.jpg" if name == "0.jpg" else "a/dog.jpg", image)]
    path = tar(tmp_path / "s.tar", *both)
    summary = build(path)
    assert (summary.num_bad, summary.unused_members) == (0, 0)
    row = load(path).media[0]
    assert path.read_bytes()[int(row["offset"]) :][: int(row["size"])] == image


def test_a_medium_that_a_record_does_not_name_is_not_taken_for_another(tmp_path: Path, build: Any) -> None:
    path = tar(
        tmp_path / "s.tar",
        ("dog.json", json.dumps(ask("0.png")).encode()),
        ("dog.png", png(9, 9)),
        ("cat.json", json.dumps(ask("cat.png")).encode()),
        ("cat.cat.png", png(9, 9)),
        ("cat.png", png(8, 8)),
    )
    summary = build(path)
    assert (summary.num_bad, summary.unused_members) == (1, 1)
    assert "found no dog.0.png, but dog.png" in summary.examples[0][1]


def test_the_summary_holds_the_shards_checksum(tmp_path: Path, build: Any) -> None:
    import hashlib

    write_texts(tmp_path, 9)
    path = tmp_path / "text-000000.tar"
    assert build(path).shard_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
