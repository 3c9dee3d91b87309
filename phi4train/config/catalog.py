"""What can be chosen: the options of each group, and what the stages say about themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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
        for name in recipes:
            self._add_with_ancestors(name, recipes, ordered)
        return ordered

    def num_ancestors(self, stages: Iterable[str], most: int) -> int:
        """How many stages these are, with all before them; counted to one more than `most`."""
        seen, waiting = set[str](), list(stages)
        while waiting and len(seen) <= most:
            stage = waiting.pop()
            if stage not in seen and stage in self.options["stage"]:
                seen.add(stage)
                recipe = read_yaml(self.options["stage"][stage])
                waiting += map(str, (recipe.get("parents") or []) if isinstance(recipe, dict) else [])
        return len(seen)

    @staticmethod
    def _add_with_ancestors(
        name: str, recipes: Mapping[str, Mapping[str, Any]], ordered: dict[str, str]
    ) -> None:
        """Adds a stage's line behind those of its ancestors; circles are told when a stage is composed."""
        waiting, seen = [name], set(ordered)
        while waiting:
            stage = waiting[-1]
            parents = [] if stage in seen else [str(one) for one in recipes[stage].get("parents") or []]
            unseen = [one for one in parents if one in recipes and one not in seen]
            seen.add(stage)
            waiting += reversed(unseen)
            if not unseen:
                ordered.setdefault(stage, str(recipes[stage].get("description") or ""))
                waiting.pop()
