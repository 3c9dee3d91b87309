"""`phi4train stage=...`: composes and validates with Hydra's command line, then trains.

Nothing here imports torch before the configuration has been found valid.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi4train.errors import ConfigError

if TYPE_CHECKING:
    from phi4train.config.schema import Config


def run(arguments: Sequence[str]) -> None:
    """Trains one stage, or one after the other the trials of a multirun.

    Raises:
        ConfigError: lists every problem of the configuration.
        Phi4TrainError: whatever else the user can mend.
    """
    configs = _compose_runs(list(arguments))
    if not configs:
        return
    from rich.console import Console

    from phi4train.training.stage import train_stage

    for config in configs:
        train_stage(config, Console())


def _compose_runs(arguments: list[str]) -> list["Config"]:
    """The validated configurations to train; none when Hydra was only asked to print something.

    Hydra composes all trials of a multirun before the first one trains, so that a mistake in the last one
    is found in seconds, and each runs outside of Hydra's error handling.

    Raises:
        ConfigError: lists every problem found.
    """
    from hydra._internal.utils import get_args_parser  # what hydra.main itself parses with

    from phi4train.config.catalog import Catalog
    from phi4train.config.hydra_settings import refuse_hydra_settings
    from phi4train.config.load import finish_config, load_config
    from phi4train.config.overrides import check_overrides
    from phi4train.config.trials import name_trial, require_distinct_runs

    parser = get_args_parser()
    parser.prog = "phi4train"
    flags = parser.parse_intermixed_args(arguments)
    _refuse_flags(flags)
    if flags.shell_completion or flags.hydra_help:
        refuse_hydra_settings(Path(flags.config_dir) if flags.config_dir else None)
        _run_hydra(arguments)
        return []
    config_dir = Path(flags.config_dir) if flags.config_dir else None
    catalog = Catalog(config_dir)
    checked = check_overrides(flags.overrides, catalog, multirun=flags.multirun)
    if checked.problems:
        if not flags.multirun:
            load_config(flags.overrides, config_dir)  # raises with what composing finds as well
        raise ConfigError(checked.problems)
    # Hydra's own parser refuses overrides behind flags, so that flags go last.
    words = [argument for argument in arguments if argument not in checked.accepted]
    composed = _run_hydra([*checked.accepted.values(), *words])
    if flags.multirun and not composed:
        raise ConfigError(
            "a multirun must compose its trials in this process · found none · remove hydra/launcher=..."
        )
    configs, problems = [], []
    for values, overrides in composed:
        try:
            configs.append(name_trial(finish_config(values, catalog), overrides, checked.swept_keys))
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise ConfigError(problems)
    require_distinct_runs(configs)
    return configs


def _refuse_flags(flags: Namespace) -> None:
    """Refuses flags of Hydra's that unpickle a file, or compose from other files than phi4train's.

    Raises:
        ConfigError: names them.
    """
    names = ("experimental_rerun", "config_path", "config_name")
    problems = [
        f"a run must compose from recipes and words · found --{name.replace('_', '-')} · remove it, and give "
        "files of yours with --config-dir"
        for name in names
        if getattr(flags, name) is not None
    ]
    if problems:
        raise ConfigError(problems)


def _run_hydra(arguments: list[str]) -> list[tuple[dict[str, Any], list[str]]]:
    """Runs Hydra's own command line; returns the values and overrides of each run that it composed.

    Raises:
        ConfigError: Hydra or OmegaConf could not compose them.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig

    from phi4train.config.hydra_setup import CONFIG_NAME, VERSION_BASE, register
    from phi4train.config.load import composing, plain_values
    from phi4train.config.resources import resource_folder

    composed: list[tuple[dict[str, Any], list[str]]] = []

    def collect(config: DictConfig) -> None:
        composed.append((plain_values(config), list(HydraConfig.get().overrides.task)))

    register()
    main_with_flags = hydra.main(str(resource_folder("conf")), CONFIG_NAME, VERSION_BASE)(collect)
    with composing(), _process_state(arguments):
        main_with_flags()
    return composed


@contextmanager
def _process_state(arguments: list[str]) -> Iterator[None]:
    """What hydra.main reads from the process: argv, and the wish that errors are raised, not printed."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error
