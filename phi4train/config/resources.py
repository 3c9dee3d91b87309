"""Where conf/, recipes/ and data_manifests/ are: inside a wheel, else atop the checkout; and reading YAML."""

from pathlib import Path
from typing import Any

import yaml

from phi4train.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent.parent


def resource_folder(name: str) -> Path:
    """The folder `conf`, `recipes` or `data_manifests`."""
    bundled = _PACKAGE / "_bundled" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name


def manifest_folders(config_dir: str | Path | None) -> list[Path]:
    """Where a manifest's name is looked up: in the user's own folder, then among the bundled ones."""
    own = [] if config_dir is None else [Path(config_dir) / "data_manifests"]
    return [*own, resource_folder("data_manifests")]


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        ConfigError: it is not YAML; names file and line.
    """
    with path.open(encoding="utf-8") as stream:
        try:
            return yaml.safe_load(stream)
        except yaml.YAMLError as error:
            raise unreadable_yaml(error) from error


def unreadable_yaml(error: yaml.YAMLError) -> ConfigError:
    """The error of a file that is not YAML, as its parser tells it."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"{mark.name}, line {mark.line + 1}" if mark is not None else "it"
    return ConfigError(
        f"files of stages, scales and curricula must be readable YAML · found in {where}: {problem or error} "
        "· mend the file"
    )
