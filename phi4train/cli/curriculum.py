"""`phi4train curriculum`: trains all stages that are missing or stale, parents first."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phi4train.cli.words import add_overrides
from phi4train.errors import ConfigError

if TYPE_CHECKING:
    from phi4train.config.schema import Config


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Brings every stage of a curriculum up to date.

    Raises:
        Phi4TrainError: whatever the user can mend; what is trained stays.
    """
    from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum

    add_overrides(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--yes", action="store_true", help="replace what was trained otherwise (set aside)")
    what.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    parser.add_argument("--name", default=DEFAULT_CURRICULUM, help="which one (default: %(default)s)")
    options = parser.parse_intermixed_args(words)
    _check_words(options.overrides)
    configs = _load_stages(load_curriculum(options.name, options.config_dir).stages, options)

    from rich.console import Console

    if options.dry_run:
        from phi4train.curriculum.forecast import foresee_curriculum, ordered_configs, tell_forecasts

        tell_forecasts(foresee_curriculum(ordered_configs(list(configs), configs.__getitem__)), Console())
        return
    from phi4train.curriculum.running import run_curriculum

    run_curriculum(list(configs), configs.__getitem__, Console(), may_replace=options.yes)


def _check_words(words: Sequence[str]) -> None:
    """Refuses what would read as another key or value: a curriculum chooses its stages itself.

    Raises:
        ConfigError: says what to type instead.
    """
    problems = [
        f"a curriculum must choose its own stages · found '{word}' · "
        f"train that stage alone with `phi4train {word} ...`, or choose a curriculum with --name"
        for word in words
        if word.lstrip("+~").startswith("stage=")
    ]
    problems += [
        f"words after `curriculum` must read key=value · found '{word}' · "
        f"choose a scale with scale={word}, a curriculum with --name {word}"
        for word in words
        if "=" not in word and not word.startswith("~")
    ]
    if problems:
        raise ConfigError(problems)


def _load_stages(stages: Sequence[str], options: Namespace) -> dict[str, "Config"]:
    """The configuration of every stage; the problems of all of them are reported at once."""
    from phi4train.config.load import load_config

    configs: dict[str, Config] = {}
    problems: dict[str, list[str]] = {}
    for stage in stages:
        try:
            configs[stage] = load_config([f"stage={stage}", *options.overrides], options.config_dir)
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(stage)
    if problems:
        raise ConfigError(
            problem if len(found_in) == len(stages) else f"{', '.join(found_in)}: {problem}"
            for problem, found_in in problems.items()
        )
    return configs
