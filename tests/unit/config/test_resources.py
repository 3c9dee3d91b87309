"""Files are read from the checkout or the wheel, and what is no YAML is told with its line."""

from pathlib import Path

import pytest

from phi4train.config import resources
from phi4train.config.resources import manifest_folders, read_yaml, resource_folder
from phi4train.errors import ConfigError


@pytest.mark.parametrize("name", ["conf", "recipes", "data_manifests"])
def test_a_wheels_own_files_come_before_those_of_a_checkout(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(resource_folder(name).rglob("*.yaml"))
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "site" / "phi4train")
    assert resource_folder(name) == tmp_path / "site" / name
    bundled = tmp_path / "site" / "phi4train" / "_bundled" / name
    bundled.mkdir(parents=True)
    assert resource_folder(name) == bundled


def test_a_users_manifests_come_first() -> None:
    bundled = resource_folder("data_manifests")
    assert manifest_folders(None) == [bundled]
    assert manifest_folders("own") == [Path("own/data_manifests"), bundled]


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
