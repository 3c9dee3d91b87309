"""The command line: dispatches verbs, trains when there is none, prints users' errors without traceback.

Nothing here imports torch before the configuration has been found valid.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phi4train.cli_help import help_text
from phi4train.cli_verbs import VERBS
from phi4train.errors import ConfigError, Phi4TrainError, did_you_mean

if TYPE_CHECKING:
    from phi4train.config.schema import Config


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code (0 fine, 2 the user's to mend, 75 interrupted, 130 Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        _dispatch([argument for argument in arguments if argument != "--debug"])
    except Phi4TrainError as error:
        if debug:
            raise
        print(_error_text(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head`; Python would complain again when it flushes stdout at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if debug:
            raise
        print(
            f"error: {error.filename or 'the disk'} must be usable; found: {error.strerror or error}. "
            "Free space or mend permissions, and start again; checkpoints are untouched.",
            file=sys.stderr,
        )
        return 2
    return 0


def _error_text(error: Phi4TrainError) -> str:
    problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    if len(problems) == 1:
        return f"error: {problems[0]}"
    return f"{len(problems)} errors:\n" + "\n".join(f"  - {problem}" for problem in problems)


def _dispatch(arguments: list[str]) -> None:
    word = arguments[0] if arguments else "--help"
    if word in VERBS:
        VERBS[word].run(arguments[1:])
    elif word == "train":
        _train(arguments[1:])
    elif word.startswith("-") or "=" in word:
        _train(arguments)
    else:
        verbs = {"train", *VERBS}
        raise ConfigError(
            f"the first word must be a verb or stage=<name>; found '{word}'{did_you_mean(word, verbs)}."
        )


def _train(arguments: list[str]) -> None:
    asks_help = not arguments or "--help" in arguments or "-h" in arguments
    if asks_help and not any(argument.startswith("stage=") for argument in arguments):
        print(help_text({name: verb.summary for name, verb in VERBS.items()}))
        return
    configs = _compose_runs(arguments)
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
    from phi4train.config.load import finish_config, load_config
    from phi4train.config.overrides import check_overrides
    from phi4train.config.trials import name_trial, require_distinct_runs

    parser = get_args_parser()
    parser.prog = "phi4train"
    flags = parser.parse_intermixed_args(arguments)
    if flags.shell_completion or flags.hydra_help:
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
            "a multirun must compose its trials in this process; found none. Remove hydra/launcher=..."
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


def _run_hydra(arguments: list[str]) -> list[tuple[dict[str, Any], list[str]]]:
    """Runs Hydra's own command line; returns the values and overrides of each run that it composed.

    Raises:
        ConfigError: Hydra or OmegaConf could not compose them.
    """
    import hydra
    import yaml
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from phi4train.config.hydra_setup import CONFIG_NAME, VERSION_BASE, register
    from phi4train.config.load import plain_values
    from phi4train.config.resources import resource_folder, unreadable_yaml

    composed: list[tuple[dict[str, Any], list[str]]] = []

    def collect(config: DictConfig) -> None:
        composed.append((plain_values(config), list(HydraConfig.get().overrides.task)))

    register()
    main_with_flags = hydra.main(str(resource_folder("conf")), CONFIG_NAME, VERSION_BASE)(collect)
    try:
        with _process_state(arguments):
            main_with_flags()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from error
    except yaml.YAMLError as error:
        raise unreadable_yaml(error) from error
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
