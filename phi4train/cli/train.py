"""`phi4train stage=...`: composes and validates, then trains, or tells what would be trained.

Nothing here imports torch before the configuration has been found valid.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from phi4train.errors import ConfigError


def run(arguments: Sequence[str]) -> None:
    """Trains one stage, or one after the other the trials of a multirun.

    Raises:
        ConfigError: lists every problem of the configuration.
        Phi4TrainError: whatever else the user can mend.
    """
    flags = _parser().parse_intermixed_args(arguments)
    _refuse_flags(flags)
    config_dir = Path(flags.config_dir) if flags.config_dir else None
    if flags.shell_completion or flags.hydra_help or flags.help or flags.cfg or flags.info:
        _let_hydra_print(list(arguments), flags, config_dir)
    elif flags.multirun:
        _sweep(flags.overrides, config_dir, flags.dry_run)
    else:
        _train(flags.overrides, config_dir, flags.dry_run)


def _parser() -> ArgumentParser:
    from hydra._internal.utils import get_args_parser  # what hydra.main itself parses with

    parser = get_args_parser()
    parser.prog = "phi4train"
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    return parser


def _train(overrides: Sequence[str], config_dir: Path | None, dry_run: bool) -> None:
    from phi4train.config.load import load_config

    config = load_config(overrides, config_dir)

    from rich.console import Console

    if dry_run:
        from phi4train.run.outlook import tell_outlook

        tell_outlook(config, Console())
        return
    from phi4train.training.stage import train_stage

    train_stage(config, Console())


def _sweep(overrides: Sequence[str], config_dir: Path | None, dry_run: bool) -> None:
    """All trials are composed before the first one trains, so that mistakes are told in seconds."""
    from phi4train.config.trials import compose_trials

    trials = compose_trials(overrides, config_dir)

    from rich.console import Console

    from phi4train.sweeping.running import run_trials, tell_trials

    if dry_run:
        tell_trials(trials, Console())
        return
    from phi4train.training.stage import train_stage

    run_trials(trials, Console(), train_stage)


def _refuse_flags(flags: Namespace) -> None:
    """Refuses flags of Hydra's that unpickle a file, compose from elsewhere, or do not go together.

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
    modes = ("run", "multirun", "dry_run", "cfg", "info", "shell_completion", "hydra_help")
    asked = [f"--{mode.replace('_', '-')}" for mode in modes if getattr(flags, mode)]
    if len(asked) > 1 and set(asked) != {"--multirun", "--dry-run"}:
        problems.append(
            f"one thing must be asked for at a time · found {' and '.join(asked)} · leave out all but one"
        )
    for name in ("resolve", "package"):
        if getattr(flags, name) and not (flags.cfg or flags.help):
            problems.append(f"--{name} must stand beside --cfg · found it alone · add --cfg job")
    if problems:
        raise ConfigError(problems)


def _let_hydra_print(arguments: list[str], flags: Namespace, config_dir: Path | None) -> None:
    """Help, a composed configuration, or completions: what Hydra's command line prints and trains nothing.

    Raises:
        ConfigError: lists every problem found.
    """
    from phi4train.config.catalog import Catalog
    from phi4train.config.load import load_config
    from phi4train.config.overrides import check_overrides
    from phi4train.config.own_files import check_own_files

    if flags.shell_completion or flags.hydra_help:
        check_own_files(config_dir)
        flag = "--hydra-help" if flags.hydra_help else "--shell-completion"
        _run_hydra([flag, *([] if flags.hydra_help else flags.overrides)], config_dir)
        return
    checked = check_overrides(flags.overrides, Catalog(config_dir), multirun=flags.multirun)
    if checked.problems:
        if not flags.multirun:
            load_config(flags.overrides, config_dir)  # raises with what composing finds as well
        raise ConfigError(checked.problems)
    # Hydra's own parser refuses overrides behind flags, so that flags go last.
    flagged = [word for word in arguments if word not in checked.accepted and word != "--dry-run"]
    _run_hydra([*checked.accepted.values(), *flagged], config_dir)


def _run_hydra(arguments: list[str], config_dir: Path | None) -> None:
    """Runs Hydra's own command line, which has nothing to run.

    Raises:
        ConfigError: Hydra or OmegaConf could not compose.
    """
    import hydra
    from omegaconf import DictConfig

    from phi4train.config.hydra_setup import CONFIG_NAME, VERSION_BASE, register
    from phi4train.config.load import composing
    from phi4train.config.resources import resource_folder

    def nothing(config: DictConfig) -> None:
        raise AssertionError("Hydra was asked to print")

    register()
    main_with_flags = hydra.main(str(resource_folder("conf")), CONFIG_NAME, VERSION_BASE)(nothing)
    with composing(config_dir), _process_state(arguments):
        main_with_flags()


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
