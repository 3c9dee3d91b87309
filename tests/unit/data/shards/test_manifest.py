"""Manifests: all problems at once, did-you-mean, and shards that exist."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from phi4train.data.shards.manifest import Manifest, expand_shards, load_manifest
from phi4train.errors import ManifestError

GOOD = """
name: mix
description: two sources
weight_by: tokens
build: phi4train data build demo
sources:
  - {name: a, shards: ["a/s-{000..002}.tar"], weight: 2, licence: CC0-1.0, split: train, num_samples: 9}
  - {name: b, shards: ["b/*.tar", "https://host/b-{0..1}.tar"], weight: 0.5, licence: MIT}
"""


def load(folder: Path, text: str) -> Manifest:
    (folder / "mix.yaml").write_text(text)
    return load_manifest("mix", [folder / "nowhere", folder])


def test_a_manifest_is_found_by_name_or_by_path(tmp_path: Path) -> None:
    by_name = load(tmp_path, GOOD)
    by_path = load_manifest(str(tmp_path / "mix.yaml"), [])
    assert (by_name.reference, by_path.reference) == ("mix", str(tmp_path / "mix.yaml"))
    assert by_name == replace(by_path, reference="mix")
    assert by_name.weight_by == "tokens" and by_name.build == "phi4train data build demo"
    assert [(source.name, source.weight, source.num_samples) for source in by_name.sources] == [
        ("a", 2.0, 9),
        ("b", 0.5, None),
    ]


def test_the_first_folder_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mix.yaml").write_text(GOOD.replace("two sources", name))
    assert load_manifest("mix", [tmp_path / "two", tmp_path / "one"]).description == "two"


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    text = """
name: mix
desciption: typo
weight_by: bytes
sources:
  - {name: a, shards: [], weight: -1, licence: x}
  - {name: a, shards: ["pipe:cat x"], weight: .nan, licence: "", num_samples: 0, wieght: 3}
  - just text
"""
    with pytest.raises(ManifestError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    for part in (
        "desciption must be a key of a manifest · found no such key (did you mean 'description'?)",
        "description must be a text",
        "weight_by must be samples or tokens",
        "sources[0].shards must be a list of at least one",
        "sources[0].weight must be a number, zero or more",
        "sources[1].shards, where remote, must start with one of",
        "sources[1].weight must be a number",
        "sources[1].licence must be a text",
        "sources[1].num_samples must be a positive integer",
        "sources[1].wieght must be a key of a manifest · found no such key (did you mean 'weight'?)",
        "sources[2] must be a mapping",
        "source names must be unique",
    ):
        assert part in message, part


@pytest.mark.parametrize("text", ["[1]", "sources: {}", "name: [", "!!python/object/apply:os.system [ls]"])
def test_what_is_no_manifest_is_a_manifest_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ManifestError, match="mix"):
        load(tmp_path, text)


def test_an_unknown_name_suggests_the_nearest(tmp_path: Path) -> None:
    load(tmp_path, GOOD)
    with pytest.raises(ManifestError, match="did you mean 'mix'"):
        load_manifest("mixx", [tmp_path])
    with pytest.raises(ManifestError, match="check the path"):
        load_manifest("no/such.yaml", [tmp_path])


def test_shards_expand_braces_and_globs_in_order(tmp_path: Path) -> None:
    manifest = load(tmp_path, GOOD)
    for name in ("a/s-000.tar", "a/s-001.tar", "a/s-002.tar", "b/y.tar", "b/x.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    first, second = (expand_shards(source, manifest, tmp_path) for source in manifest.sources)
    assert [ref.name for ref in first] == [f"a/s-00{i}.tar" for i in range(3)]
    assert first[0].location == str(tmp_path / "a/s-000.tar")
    assert [ref.name for ref in second] == [
        "b/x.tar",
        "b/y.tar",
        "https://host/b-0.tar",
        "https://host/b-1.tar",
    ]


def test_missing_shards_are_all_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    manifest = load(tmp_path, GOOD)
    with pytest.raises(
        ManifestError, match=r"a/s-000.tar, a/s-001.tar.*run `phi4train data build demo --data-root /"
    ):
        expand_shards(manifest.sources[0], manifest, tmp_path)


@pytest.mark.parametrize("other", ["./x.tar", "a/../x.tar", "link.tar", "?.tar"])
def test_a_shard_named_twice_in_other_words_is_refused(other: str, tmp_path: Path) -> None:
    (tmp_path / "x.tar").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "link.tar").symlink_to(tmp_path / "x.tar")
    manifest = load(tmp_path, GOOD.replace('"b/*.tar"', f'"x.tar", "{other}"'))
    with pytest.raises(ManifestError, match=r"named once · found more than once .*x\.tar"):
        expand_shards(manifest.sources[1], manifest, tmp_path)


def test_a_pattern_of_a_billion_shards_is_refused_when_the_manifest_is_read(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"sources\[1\].shards must name at most .* found 1,000,000,002, most"
    ):
        load(tmp_path, GOOD.replace("b/*.tar", "{000000000..999999999}.tar"))


def test_a_shard_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").touch()
    manifest = load(tmp_path, GOOD.replace('"b/*.tar"', '"x.tar", "*.tar"'))
    with pytest.raises(ManifestError, match=r"named once · found more than once x.tar"):
        expand_shards(manifest.sources[1], manifest, tmp_path)


def test_absolute_patterns_stay_where_they_point(tmp_path: Path) -> None:
    (tmp_path / "x.tar").touch()
    manifest = load(tmp_path, GOOD.replace("a/s-{000..002}.tar", f"{tmp_path}/*.tar"))
    (ref,) = expand_shards(manifest.sources[0], manifest, Path("elsewhere"))
    assert ref.location == str(tmp_path / "x.tar")


def test_reading_a_manifest_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, phi4train.data.shards.manifest; print({'torch', 'numpy', 'hydra'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("shards", "found"),
    [
        (["a-{0..600000}.tar", "b-{0..600000}.tar"], "found 1,200,002, most of them in 'a-"),
        (["{0..9}" * 600], "at most 1,000,000 shards · found"),
        (["{" * 1500 + "a" + "}" * 1500], "found them deeper"),
        (["x" * 5000], "must have at most 4,096 characters each · found 5,000"),
    ],
    ids=["together", "product", "deep", "long"],
)
def test_patterns_have_bounds_alone_and_together(tmp_path: Path, shards: list[str], found: str) -> None:
    text = GOOD.replace('["a/s-{000..002}.tar"]', json.dumps(shards))
    assert text != GOOD
    with pytest.raises(ManifestError, match=re.escape(found)) as caught:
        load(tmp_path, text)
    assert len(str(caught.value)) < 1000
    if len(shards) == 2:
        halves = text.replace(json.dumps(shards), json.dumps(shards[:1])).replace("b/*.tar", shards[1])
        with pytest.raises(ManifestError, match="the shards of all sources must name at most"):
            load(tmp_path, halves)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e999", "-1" + "0" * 400])
@pytest.mark.parametrize("key", ["weight", "num_samples", "max_audio_seconds"])
def test_numbers_that_no_computer_holds_are_refused(tmp_path: Path, key: str, number: str) -> None:
    text = GOOD.replace("weight: 2,", f"weight: {number},") if key == "weight" else GOOD
    text = text.replace("num_samples: 9", f"{key}: {number}") if key != "weight" else text
    assert number in text
    with pytest.raises(ManifestError, match=rf"sources\[0\].{key} must be") as caught:
        load(tmp_path, text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.tar", ["a.tar"]),
        ("?*.tar", ["a.tar"]),
        (".*.tar", ["._a.tar", ".hidden.tar"]),
        ("**/*.tar", ["a.tar", "sub/b.tar"]),
        (".git/*.tar", [".git/d.tar"]),
        (".hidden.tar", [".hidden.tar"]),
        ("sub/../*.tar", ["sub/../a.tar"]),
    ],
)
def test_a_glob_takes_no_hidden_files_unless_it_writes_the_dot(
    tmp_path: Path, pattern: str, found: list[str]
) -> None:
    for name in ("a.tar", "._a.tar", ".hidden.tar", "sub/b.tar", "sub/._b.tar", ".git/d.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    manifest = load(tmp_path, GOOD.replace("a/s-{000..002}.tar", pattern))
    assert [ref.name for ref in expand_shards(manifest.sources[0], manifest, tmp_path)] == found
    absolute = load(tmp_path, GOOD.replace("a/s-{000..002}.tar", f"{tmp_path}/{pattern}"))
    assert len(expand_shards(absolute.sources[0], absolute, Path("elsewhere"))) == len(found)


@pytest.mark.parametrize("pattern", ["a" * 300 + ".tar", "x**.tar", "*/" + "a" * 300])
def test_a_path_that_cannot_be_looked_up_is_told(tmp_path: Path, pattern: str) -> None:
    manifest = load(tmp_path, GOOD.replace("a/s-{000..002}.tar", pattern))
    with pytest.raises(ManifestError, match=r"source a: (a shard's path must be|every shard must exist)"):
        expand_shards(manifest.sources[0], manifest, tmp_path)


def test_of_thousands_of_missing_shards_a_few_are_named(tmp_path: Path) -> None:
    manifest = load(tmp_path, GOOD.replace("{000..002}", "{000..999}"))
    with pytest.raises(ManifestError, match=r"a/s-004\.tar, and 995 more · run") as caught:
        expand_shards(manifest.sources[0], manifest, tmp_path)
    assert len(str(caught.value)) < 500
