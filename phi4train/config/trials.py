"""The trials of a multirun: what each is to be, composed and named before the first one trains."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path

from hydra.core.override_parser.types import Glob, Override

from phi4train.config.catalog import Catalog
from phi4train.config.load import load_config
from phi4train.config.overrides import check_overrides
from phi4train.config.run_names import default_artifact, within_bytes
from phi4train.config.schema import Config
from phi4train.errors import ConfigError

MAX_TRIALS = 1000
"""Most trials of a sweep; composing them takes two minutes."""

_NAMED_ELSEWHERE = ("stage", "run.name")
"""Swept keys that tell run folders apart already."""


@dataclass(frozen=True)
class Trial:
    """One choice of the swept values.

    Args:
        settings: the swept overrides, one value each.
        config: what it would train; None: it cannot be trained.
        problems: why not.
    """

    settings: tuple[str, ...]
    config: Config | None
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How messages call it: stage and run name, or its settings where these are not known."""
        if self.config is None:
            return " ".join(self.settings)
        return f"{self.config.stage}/{self.config.run.name}"


def compose_trials(overrides: Sequence[str], config_dir: Path | None = None) -> list[Trial]:
    """All trials of `key=a,b` and the like, in the order in which they are to train.

    Args:
        overrides: as on the command line.
        config_dir: a user's own folder with groups.

    Raises:
        ConfigError: the words do not hold for any trial, there are too many, or two would share a folder.
    """
    catalog = Catalog(config_dir)
    checked = check_overrides(overrides, catalog, multirun=True)
    if checked.problems:
        raise ConfigError(checked.problems)
    choices = [_values(override, catalog) for override in checked.swept.values()]
    number = math.prod(map(len, choices))
    if number > MAX_TRIALS:
        raise ConfigError(
            f"a sweep must have at most {MAX_TRIALS} trials · found {number:,} or more · sweep fewer values"
        )
    fixed = [text for text in overrides if text not in checked.swept]
    keys = [override.key_or_group for override in checked.swept.values()]
    trials = [_compose(fixed, settings, keys, config_dir) for settings in product(*choices)]
    _require_distinct_runs(trials)
    return trials


def _values(override: Override, catalog: Catalog) -> list[str]:
    """The overrides of single values that one sweeps over."""
    swept, key = override.value(), override.key_or_group
    values: Iterable[str] = override.sweep_string_iterator() if not isinstance(swept, Glob) else ()
    if isinstance(swept, Glob):
        values = swept.filter(sorted(catalog.options[key]))
    return [f"{override.get_key_element()}={value}" for value in islice(values, MAX_TRIALS + 1)]


def _compose(
    fixed: Sequence[str], settings: tuple[str, ...], keys: Collection[str], config_dir: Path | None
) -> Trial:
    try:
        config = load_config([*fixed, *settings], config_dir)
    except ConfigError as error:
        return Trial(settings, None, tuple(error.problems))
    return Trial(settings, name_trial(config, settings, keys))


def name_trial(config: Config, overrides: Sequence[str], swept_keys: Collection[str]) -> Config:
    """The configuration with the swept settings in its run name: `demo-optimizer.lr-0.001-seed-1`.

    The name can be typed as it is, `run.name=...`, to evaluate a trial or to build on it.

    Parents stay those of the run name without the settings: all trials start from the same artifacts.
    """
    keys = [key for key in swept_keys if key not in _NAMED_ELSEWHERE]
    settings = [text.lstrip("+") for text in overrides if text.lstrip("+").split("=")[0] in keys]
    if not settings:
        return config
    run = config.run
    parents = {stage: str(default_artifact(config, stage)) for stage in config.parents}
    name = within_bytes(re.sub(r"[^\w.+-]", "-", "-".join([run.name, *sorted(settings)])))
    return replace(config, run=replace(run, name=name, parents=parents | run.parents))


def _require_distinct_runs(trials: Sequence[Trial]) -> None:
    """Refuses trials that would train in one folder.

    Raises:
        ConfigError: names them.
    """
    names = [trial.name for trial in trials]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"each trial must have a run folder of its own · found twice: {', '.join(twice)} · "
            "remove one of each two, or train it alone under another run.name"
        )
