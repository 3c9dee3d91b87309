"""From overrides to a validated configuration; hydra.main and the compose way meet in `finish_config`."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from phi4train.command_lines import quoted_for_hydra
from phi4train.config.catalog import Catalog
from phi4train.config.convert import read_config
from phi4train.config.hydra_setup import CONFIG_NAME, VERSION_BASE, register
from phi4train.config.imports import import_modules
from phi4train.config.overrides import check_overrides
from phi4train.config.own_files import require_readable
from phi4train.config.resources import resource_folder
from phi4train.config.schema import Config
from phi4train.config.validate import find_problems
from phi4train.config.validate_components import MAX_ANCESTORS, too_many_ancestors
from phi4train.errors import ConfigError, shortened
from phi4train.model.component_names import media_of_component
from phi4train.yaml_files import unreadable_yaml


def load_config(overrides: Iterable[str], config_dir: Path | None = None) -> Config:
    """The validated configuration of one stage run.

    Args:
        overrides: `stage=vision_sft`, `scale=demo`, `key=value`, as on the command line.
        config_dir: a user's own folder with groups (stage/, scale/, ...).

    Raises:
        ConfigError: lists every problem found.
    """
    catalog = Catalog(config_dir)
    checked = check_overrides(overrides, catalog)
    if not any(text.startswith("stage=") for text in checked.accepted):
        raise ConfigError(checked.problems)
    values = compose_values(list(checked.accepted.values()), config_dir)
    return finish_config(values, catalog, checked.problems)


def compose_values(overrides: list[str], config_dir: Path | None = None) -> dict[str, Any]:
    """What Hydra composes, as plain resolved values, not yet checked.

    Raises:
        ConfigError: Hydra or OmegaConf could not compose them.
    """
    register()
    if config_dir is not None:
        folder = quoted_for_hydra(f"file://{config_dir.resolve()}")
        overrides = [*overrides, f"hydra.searchpath=[{folder}]"]
    GlobalHydra.instance().clear()
    conf = str(resource_folder("conf"))
    with composing(config_dir), initialize_config_dir(conf, version_base=VERSION_BASE):
        composed = compose(CONFIG_NAME, overrides=overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(composed)
        with open_dict(composed):
            del composed["hydra"]
        return plain_values(composed)


@contextmanager
def composing(config_dir: Path | None = None) -> Iterator[None]:
    """Turns what Hydra, OmegaConf and YAML raise inside into an error of the user's.

    Args:
        config_dir: the user's folder, whose files are looked at when one of them cannot be read.

    Raises:
        ConfigError: in one line.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException, RecursionError, ValueError) as error:
        if isinstance(error, RecursionError | ValueError):
            require_readable(config_dir)
        raise _own_cause(error) or ConfigError(
            f"a run must compose from its files and words · found {_in_one_line(error)} · mend what it names"
        ) from error
    except yaml.YAMLError as error:
        raise unreadable_yaml(error) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was raised from, the first one last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _own_cause(error: BaseException) -> ConfigError | None:
    """The error of a resolver of ours, which OmegaConf wraps in its own."""
    return next((cause for cause in _causes(error) if isinstance(cause, ConfigError)), None)


def _in_one_line(error: BaseException) -> str:
    if any(isinstance(cause, RecursionError) for cause in _causes(error)):
        return "values, interpolations or defaults that lead into each other too deeply"
    return shortened(" ".join(str(error).split()), 400)


def plain_values(composed: DictConfig) -> dict[str, Any]:
    """A composed configuration as plain values, interpolations resolved."""
    values = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def finish_config(values: dict[str, Any], catalog: Catalog, problems: Iterable[str] = ()) -> Config:
    """The typed configuration of composed values, fully validated; the modules of `imports` are imported.

    Args:
        values: what Hydra composed.
        catalog: where other stages' recipes come from.
        problems: what earlier checks found; reported together with what is found here.

    Raises:
        ConfigError: lists every problem found.
    """
    config, unreadable = read_config(values)
    if config.run.config_dir is not None:
        problems = [*problems, "run.config_dir must be left to --config-dir · found it set · use the flag"]
    try:
        import_modules(config.imports, catalog.config_dir)
    except ConfigError as error:  # what is known of components depends on it, so that nothing else is told
        raise ConfigError([*problems, *unreadable.values(), *error.problems]) from error
    own = None if catalog.config_dir is None else str(catalog.config_dir)
    config = replace(config, run=replace(config.run, config_dir=own))

    if catalog.num_ancestors(config.parents, MAX_ANCESTORS) > MAX_ANCESTORS:  # composing each takes its time
        raise ConfigError([*problems, *unreadable.values(), too_many_ancestors(config.stage)])
    recipe = partial(_recipe, scale=config.scale, config_dir=catalog.config_dir)
    meaning = find_problems(config, list(catalog.options["stage"]), recipe)
    # A key that could not be read holds its default here, so that nothing said about it would be true.
    found = [problem for problem in meaning if not any(_names(problem, key) for key in unreadable)]
    every = [*problems, *unreadable.values(), *found]
    if every:
        raise ConfigError(every)
    return config


def _names(problem: str, key: str) -> bool:
    """Whether a problem is about a key or one below it; a word of a sentence is no key."""
    first, *others = re.findall(r"[\w.]*\w", problem)
    named = [first, *(word for word in others if "." in word)]
    return any(word == key or word.startswith(f"{key}.") for word in named)


@cache
def _recipe(stage: str, scale: str, config_dir: Path | None) -> Config:
    """Another stage's configuration, unchecked. Cached: a curriculum's stages share their ancestors."""
    return read_config(compose_values([f"stage={stage}", f"scale={scale}"], config_dir))[0]


def encoded_media(config: Config) -> set[str]:
    """Kinds of media that the model of a valid recipe encodes, by its components and its ancestors'."""
    own = None if config.run.config_dir is None else Path(config.run.config_dir)
    ancestors = [config]
    for recipe in ancestors:
        ancestors += [_recipe(parent, config.scale, own) for parent in recipe.parents]
    components = {name for recipe in ancestors for name in (*recipe.trainable, *recipe.init)}
    return {media for name in components if (media := media_of_component(name)) is not None}
