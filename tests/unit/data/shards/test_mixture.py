"""A mixture is opened only with indexes that are whole; a source's own limit holds for that source alone."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from phi4train.data.batches.held_out import evaluation_batches
from phi4train.data.batches.loader import DataPlan, SkippedSample, build_loader
from phi4train.data.inspection.check import check_mixture
from phi4train.data.inspection.stats import manifest_stats
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards import mixture
from phi4train.data.shards.manifest import Manifest, load_manifest
from phi4train.data.shards.mixture import Mixture, MixtureSource, index_manifest, open_mixture
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import ManifestError
from tests.unit.data.small_shards import (
    ask,
    clip,
    png,
    tar,
    write_manifest,
    write_texts,
)

TOO_LONG = {f"short-000000.tar/long{i}" for i in range(3)}


def open_with(root: Path, tokenizer: Tokenizer, limit: str = "") -> Mixture:
    """Five clips of a second and three of three seconds in each of two sources, one with a limit."""
    for name in ("short", "any"):
        if not (root / f"{name}-000000.tar").exists():
            with ShardWriter(root / name) as writer:
                for i in range(5):
                    writer.write(f"brief{i}", ask("0.wav"), {"0.wav": clip(8_000, 8_000, seed=i)})
                for i in range(3):
                    writer.write(f"long{i}", ask("0.wav"), {"0.wav": clip(24_000, 8_000, seed=i)})
    lines = "\n".join(
        f'  - {{name: {name}, shards: ["{name}-*.tar"], weight: 1, licence: CC0{own}}}'
        for name, own in (("short", limit), ("any", ""))
    )
    path = root / "mixture.yaml"
    path.write_text(f"name: mixture\ndescription: d\nweight_by: tokens\nsources:\n{lines}\n")
    manifest = load_manifest(str(path), [])
    index_manifest(manifest, root, root / "cache", tokenizer)
    return open_mixture(manifest, root, root / "cache", tokenizer)


def test_training_stats_check_and_evaluation_leave_the_same_clips_out(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits
) -> None:
    mixture = open_with(tmp_path, tokenizer, ", max_audio_seconds: 2.5")
    plan = DataPlan(BatchSize(samples=8), limits, 64, 64, seed=0, spec_augment=NO_SPEC_AUGMENT)
    steps = list(build_loader(mixture, tokenizer, plan, tmp_path, 0, 16))
    assert {(one.key, one.cause) for step in steps for one in step.skipped} == {
        (key, "audio_too_long") for key in TOO_LONG
    }
    learned = {key for step in steps for batch in step.micro_batches for key in batch.keys}
    assert len(learned) == 13 and not learned & TOO_LONG

    skipped: list[SkippedSample] = []
    batches = list(evaluation_batches(mixture, tokenizer, limits, tmp_path, 300, skipped))
    assert {key for each in batches for key in each.batch.keys} == learned
    assert {one.key for one in skipped} == TOO_LONG

    checked = check_mixture(mixture, tokenizer, limits, tmp_path / "cache", None)
    assert [source.unusable for source in checked.sources] == [{"audio_too_long": 3}, {}]
    stats = manifest_stats(mixture, plan, max_steps=16)
    assert stats.modes == {"speech": 13}
    short, whole = stats.sources
    assert short.sample_share > whole.sample_share, "equal shares of tokens, of shorter samples on average"


def test_a_sources_limit_never_loosens_the_recipes(limits: Limits) -> None:
    assert MixtureSource("s", 1.0, (), 2000.0).limits(limits) == limits
    assert MixtureSource("s", 1.0, (), None).limits(limits) is limits
    assert MixtureSource("s", 1.0, (), 30.0).limits(limits).max_audio_seconds == 30


def test_the_limit_is_part_of_the_datas_fingerprint(tmp_path: Path, tokenizer: Tokenizer) -> None:
    limits = ("", ", max_audio_seconds: 2", ", max_audio_seconds: 3")
    assert len({open_with(tmp_path, tokenizer, limit).fingerprint for limit in limits}) == 3


@pytest.mark.parametrize("value", ["0", "-1", "true", "long", ".inf", "null"])
def test_what_is_no_limit_is_refused(tmp_path: Path, tokenizer: Tokenizer, value: str) -> None:
    with pytest.raises(
        ManifestError, match=r"sources\[0\].max_audio_seconds must be a number above zero · found"
    ):
        open_with(tmp_path, tokenizer, f", max_audio_seconds: {value}")


def test_indexing_skips_what_is_up_to_date(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_texts(tmp_path, 60)
    manifest = write_manifest(tmp_path, "text")
    shards = sorted(path.name for path in tmp_path.glob("*.tar"))
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer) == shards
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer) == []
    write_texts(tmp_path, 60, seed=3)
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer) == shards
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer, rebuild=True) == shards


def test_num_samples_of_the_manifest_is_checked(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_texts(tmp_path, 9)
    manifest = write_manifest(tmp_path, "text", extra=", num_samples: 10")
    index_manifest(manifest, tmp_path, tmp_path, tokenizer)
    with pytest.raises(ManifestError, match="must have num_samples=10 as it says · found 9"):
        open_mixture(manifest, tmp_path, tmp_path, tokenizer)


ARRAYS = ("samples.npy", "media.npy", "keys.npy")
Damage = Callable[[Path, str], None]


def flip(folder: Path, name: str, spot: float = 0.7) -> None:
    content = bytearray((folder / name).read_bytes())
    content[int(len(content) * spot)] ^= 1
    (folder / name).write_bytes(content)


def cut(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-7])


def empty(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")


def remove(folder: Path, name: str) -> None:
    (folder / name).unlink()


def take_the_next(folder: Path, name: str) -> None:
    """Takes another array of the same index in its place."""
    other = ARRAYS[(ARRAYS.index(name) + 1) % 3] if name in ARRAYS else "keys.npy"
    (folder / name).write_bytes((folder / other).read_bytes())


def take_another_shards(folder: Path, name: str) -> None:
    other = next(path for path in sorted(folder.parent.glob("*.idx")) if path != folder)
    (folder / name).write_bytes((other / name).read_bytes())


DAMAGES = (flip, cut, empty, remove, take_the_next, take_another_shards)


@pytest.fixture(scope="module")
def equal_shards(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Manifest:
    """Three shards whose index files have the same sizes."""
    root = tmp_path_factory.mktemp("equal")
    for shard in range(3):
        with ShardWriter(root / f"s{shard}") as writer:
            for row in range(8):
                image = png(20 + shard, 30 + row)
                writer.write(f"{shard}{row}", ask("0.png", text="the " * (shard + row + 1)), {"0.png": image})
    manifest = write_manifest(root, "s0", "s1", "s2")
    index_manifest(manifest, root, root / "cache", tokenizer)
    return manifest


@pytest.mark.parametrize("name", [*ARRAYS, "index.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_found_at_opening_and_alone_is_mended(
    damage: Damage, name: str, equal_shards: Manifest, tokenizer: Tokenizer
) -> None:
    root = equal_shards.path.parent
    folders = [root / f"s{shard}-000000.tar.idx" for shard in range(3)]
    sound = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    damage(folders[1], name)
    with pytest.raises(ManifestError) as caught:
        open_mixture(equal_shards, root, root / "cache", tokenizer)
    message = str(caught.value)
    assert message.startswith("shard s1-000000.tar must have an index") and "\n" not in message
    assert message.endswith(f"run `phi4train data index {equal_shards.path} run.data_root={root}`")
    mended = index_manifest(equal_shards, root, root / "cache", tokenizer)
    assert mended == ["s1-000000.tar"]
    assert sound == [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    open_mixture(equal_shards, root, root / "cache", tokenizer)


def test_indexes_too_large_to_be_read_at_opening_are_compared_when_they_are_used(
    equal_shards: Manifest, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixture, "CHECKED_BYTES", 100)
    root = equal_shards.path.parent
    folder = root / "s1-000000.tar.idx"
    flip(folder, "samples.npy")
    opened = open_mixture(equal_shards, root, root / "cache", tokenizer)
    assert opened.shards[0][0].key(7) == "07"
    with pytest.raises(ManifestError, match=r"whose samples\.npy is as it was written · found bytes"):
        opened.shards[1][0].key(7)
    flip(folder, "samples.npy")
    assert opened.shards[1][0].key(7) == "17"


def test_of_thousands_of_problems_a_few_are_told(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_texts(tmp_path, 400)
    assert len(list(tmp_path.glob("*.tar"))) > 6
    with pytest.raises(ManifestError, match=r"and [0-9]+ more") as caught:
        open_mixture(write_manifest(tmp_path, "text"), tmp_path, tmp_path, tokenizer)
    assert len(str(caught.value).splitlines()) == 6


def test_several_processes_may_index_at_once(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_texts(tmp_path, 60)
    manifest = write_manifest(tmp_path, "text")
    with ProcessPoolExecutor(3) as processes:
        running = [
            processes.submit(index_manifest, manifest, tmp_path, tmp_path, tokenizer, rebuild=True)
            for _ in range(9)
        ]
        for one in running:
            assert one.result() == sorted(path.name for path in tmp_path.glob("*.tar"))
    open_mixture(manifest, tmp_path, tmp_path, tokenizer)
    assert not list(tmp_path.glob("*.tmp-*"))


def test_shards_without_samples_are_indexed_and_their_source_is_refused(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    tar(tmp_path / "s-0.tar")
    manifest = write_manifest(tmp_path, "s")
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer) == ["s-0.tar"]
    with pytest.raises(ManifestError, match="source s must have samples · found none in its 1 shards"):
        open_mixture(manifest, tmp_path, tmp_path, tokenizer)
    write_texts(tmp_path, 3)
    (tmp_path / "text-000000.tar").rename(tmp_path / "s-1.tar")
    index_manifest(manifest, tmp_path, tmp_path, tokenizer)
    assert open_mixture(manifest, tmp_path, tmp_path, tokenizer).sources[0].num_samples == 3
