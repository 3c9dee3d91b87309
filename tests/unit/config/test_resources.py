"""Files are read from the checkout or the wheel."""

from pathlib import Path

import pytest

from phi4train.config import resources
from phi4train.config.resources import manifest_folders, resource_folder


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
