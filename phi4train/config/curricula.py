"""Curricula: which stages belong together. Their order follows from the recipes' `parents`."""

from dataclasses import dataclass
from pathlib import Path

from phi4train.config.catalog import Catalog
from phi4train.config.resources import resource_folder
from phi4train.errors import ConfigError, did_you_mean, shortened
from phi4train.yaml_files import read_yaml

DEFAULT_CURRICULUM = "phi4_multimodal"


@dataclass(frozen=True)
class Curriculum:
    """A named set of stages."""

    name: str
    description: str
    stages: tuple[str, ...]


def curriculum_files(config_dir: Path | None = None) -> dict[str, Path]:
    """By name, the file of each curriculum; a user's own file hides a bundled one."""
    folders = [resource_folder("recipes"), *([config_dir] if config_dir else [])]
    return {path.stem: path for folder in folders for path in sorted((folder / "curriculum").glob("*.yaml"))}


def load_curriculum(name: str = DEFAULT_CURRICULUM, config_dir: Path | None = None) -> Curriculum:
    """The curriculum of that name.

    Raises:
        ConfigError: there is none, or its file has other keys than description and stages, or unknown stages.
    """
    known_stages = Catalog(config_dir).options["stage"]
    files = curriculum_files(config_dir)
    if name not in files:
        raise ConfigError(
            f"a curriculum must be a file of recipes/curriculum/, or of curriculum/ in --config-dir · "
            f"found '{name}'{did_you_mean(name, files)} · correct the name"
        )
    document = read_yaml(files[name])
    if (
        not isinstance(document, dict)
        or not isinstance(document.get("stages"), list)
        or not document["stages"]
    ):
        raise ConfigError(
            f"{files[name]} must hold `description` and a list `stages` · found {shortened(document)} · "
            "write both"
        )
    problems = [
        f"{files[name]} must hold only `description` and `stages` · found '{key}' · remove it"
        for key in document.keys() - {"description", "stages"}
    ]
    problems += [
        f"{files[name]}: stages must be recipes · found '{stage}'{did_you_mean(str(stage), known_stages)} · "
        "correct the name"
        for stage in document["stages"]
        if stage not in known_stages
    ]
    if problems:
        raise ConfigError(problems)
    return Curriculum(name, str(document.get("description", "")), tuple(document["stages"]))
