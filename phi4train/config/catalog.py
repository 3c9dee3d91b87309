"""What can be chosen: the options of each group, and what the stages say about themselves."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from phi4train.config.resources import resource_folder
from phi4train.errors import ConfigError
from phi4train.yaml_files import read_yaml

GROUPS = ("stage", "scale", "hardware", "strategy", "logger")
"""Groups of which a run chooses an option each, as `group=option`."""

_SCALE_ORDER = ("full", "demo")


@dataclass(frozen=True)
class Catalog:
    """Options that conf/, recipes/ and the user's own folder offer.

    Raises:
        ConfigError: the user's own folder does not exist.
    """

    config_dir: Path | None = None
    """A user's own folder with the same groups (`--config-dir`)."""

    def __post_init__(self) -> None:
        if self.config_dir is not None and not self.config_dir.is_dir():
            raise ConfigError(
                f"--config-dir must be a folder of yours · found none at {self.config_dir} · check the path"
            )

    @cached_property
    def options(self) -> dict[str, dict[str, Path]]:
        """By group, by option: the file."""
        folders = [resource_folder("recipes"), resource_folder("conf")]
        if self.config_dir is not None:
            folders.append(self.config_dir)
        found: dict[str, dict[str, Path]] = {}
        for group in GROUPS:
            files = [path for folder in folders for path in sorted((folder / group).glob("*.yaml"))]
            found[group] = {path.stem: path for path in files}
        return found

    def collisions(self) -> list[str]:
        """Files of the user's folder that Hydra would ignore: a bundled one of the same name comes first."""
        if self.config_dir is None:
            return []
        names = [path.relative_to(self.config_dir) for path in sorted(self.config_dir.rglob("*.yaml"))]
        bundled = (resource_folder("conf"), resource_folder("recipes"))
        return [str(name) for name in names if any((folder / name).is_file() for folder in bundled)]

    @property
    def scales(self) -> list[str]:
        """Names of the scales, the default first, the ladder by size."""

        def position(name: str) -> tuple[int, int, str]:
            size = name.removesuffix("m")
            rank = _SCALE_ORDER.index(name) if name in _SCALE_ORDER else len(_SCALE_ORDER)
            return rank, int(size) if size.isdigit() else 0, name

        return sorted(self.options["scale"], key=position)

    def stage_descriptions(self) -> dict[str, str]:
        """By stage, its one line; parents come before children."""
        documents = {name: read_yaml(path) for name, path in self.options["stage"].items()}
        recipes = {name: content if isinstance(content, dict) else {} for name, content in documents.items()}
        ordered: dict[str, str] = {}

        def add(name: str) -> None:
            if name in recipes and name not in ordered:
                recipe = recipes.pop(name)
                for parent in recipe.get("parents", []):
                    add(str(parent))
                ordered[name] = str(recipe.get("description") or "")

        for name in list(recipes):
            add(name)
        return ordered
