"""The mixtures that a verb of `data` works on."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from phi4train.cli.words import add_overrides
from phi4train.errors import ConfigError

if TYPE_CHECKING:
    from phi4train.config.schema import Config


def add_mixtures(parser: ArgumentParser) -> None:
    """Lets a parser take names of manifests beside overrides."""
    add_overrides(parser, also="names of manifests; none: those that the stage trains and is measured on")


def mixtures_of(options: Namespace) -> list[tuple["Config", str]]:
    """The manifests asked for, each with a configuration that gives tokenizer and limits.

    Called before a verb imports what it works with, so that a typo is told at once.
    """
    from phi4train.config.load import load_config

    names = [word for word in options.overrides if "=" not in word]
    overrides = [word for word in options.overrides if "=" in word]
    config_dir = options.config_dir
    if any(word.startswith("stage=") for word in overrides) or not names:
        config = load_config(overrides, config_dir)
        own = [name for name in (config.data.manifest, config.evaluation.manifest) if name is not None]
        return [(config, name) for name in names or own]
    return [(load_config([*_recipe_using(name, config_dir), *overrides], config_dir), name) for name in names]


def _recipe_using(manifest: str, config_dir: Path | None) -> list[str]:
    """The overrides of the first recipe that trains or evaluates on a manifest."""
    from phi4train.config.catalog import Catalog
    from phi4train.config.load import compose_values
    from phi4train.config.resources import manifest_folders
    from phi4train.data.shards.manifest import load_manifest

    stages = Catalog(config_dir).stage_descriptions()
    load_manifest(manifest, manifest_folders(config_dir))  # a name that does not exist is told as such
    for scale in ("full", "demo"):
        for stage in stages:
            overrides = [f"stage={stage}", f"scale={scale}"]
            values = compose_values(overrides, config_dir)
            if manifest in (values["data"]["manifest"], values["evaluation"]["manifest"]):
                return overrides
    raise ConfigError(
        f"tokenizer and limits must come from a recipe · found none that uses '{manifest}' · "
        "add stage=<name> and scale=<name>"
    )
