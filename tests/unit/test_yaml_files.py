"""YAML of others: what is none is told with its line, a key is there once, and aliases stay small."""

from pathlib import Path

import pytest
import yaml

from phi4train.config.load import load_config
from phi4train.data.shards.manifest import load_manifest
from phi4train.errors import CheckpointError, ConfigError, ManifestError
from phi4train.run.run_folder import RunFolder
from phi4train.yaml_files import parse_yaml, read_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + below] * 10)}]\n"
    for below, name in zip("abcdefg", "bcdefgh", strict=True)
)


def test_what_is_no_yaml_is_told_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("stage: x\nparents: [a\nseed: 3\n")
    with pytest.raises(
        ConfigError, match=rf"must be readable YAML · found in {path}, line 3: .* · mend the file"
    ):
        read_yaml(path)
    path.write_text("a: [1, 'ü']\n", encoding="utf-8")
    assert read_yaml(path) == {"a": [1, "ü"]}


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("!!python/object/apply:os.system [ls]")
    with pytest.raises(ConfigError, match="line 1: could not determine a constructor"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "found the key 'a' again, which line 1 has already"),
        ("x:\n- a: 1\n  'a': 2\n", 3, "found the key 'a' again, which line 2 has already"),
        ("x: {1: a, 1: b}", 1, "found the key '1' again"),
        ("a: &a [*a]", 1, "found an alias inside of what it repeats"),
        (LAUGHS, 6, "found more than 200,000 values, aliases unfolded"),
        ("[" * 100_000, 1, "values nested too deeply"),
        ("a: 1\nb: 1" + "0" * 5000, 2, "Exceeds the limit (4300 digits) for integer string conversion"),
        ("a: 1\nb: 2026-13-01", 2, "month must be in 1..12"),
        ("a: 1\nb: \x1b[2J", 2, "the character U+001B"),
        ("x" * 1_000_001, 1, "1,000,001 characters, more than 1,000,000"),
    ],
    ids=["key", "inner key", "number", "circle", "laughs", "deep", "digits", "date", "control", "long"],
)
def test_what_would_be_read_otherwise_is_refused_in_one_line(
    text: str, line: int, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    (problem,) = caught.value.problems
    assert f"found in {path}, line {line}: {found}" in problem and "\n" not in problem


def test_merged_keys_and_aliases_are_read_as_ever() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n"
    assert parse_yaml(text, "it") == yaml.safe_load(text)


def test_a_runs_own_configuration_that_is_huge_or_deep_is_one_line(tmp_path: Path) -> None:
    for text in ("a: " + "x" * 2_000_000, "a: " + "[" * 2000 + "]" * 2000, "a: 1" + "0" * 5000):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(CheckpointError, match=r"the YAML mapping that the run wrote · found another"):
            RunFolder(tmp_path).read_config()


def test_a_text_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="must be UTF-8 text"):
        read_yaml(tmp_path / "mine.yaml")


def test_manifests_recipes_and_a_runs_own_configuration_are_read_so(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.make()
    (tmp_path / "scale").mkdir()
    for path in (tmp_path / "scale" / "mine.yaml", folder.config, tmp_path / "data.yaml"):
        path.write_text(LAUGHS)
    with pytest.raises(ConfigError, match="more than 200,000 values"):
        load_config(["stage=lm_sft", "scale=mine"], tmp_path)
    with pytest.raises(CheckpointError, match="must be the YAML mapping"):
        folder.read_config()
    with pytest.raises(
        ManifestError, match="readable YAML · found in line 6: found more than 200,000 values"
    ):
        load_manifest(str(tmp_path / "data.yaml"), [])


def test_sources_named_twice_in_a_manifest_are_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("name: a\nsources: [{}]\nsources: [{}]\n")
    with pytest.raises(
        ManifestError, match="found in line 3: found the key 'sources' again, which line 2 has"
    ):
        load_manifest(str(tmp_path / "data.yaml"), [])
