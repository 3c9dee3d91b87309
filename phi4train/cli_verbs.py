"""The verbs besides `train`: each parses its words, then calls into the package that does the work."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from phi4train.cli_data import DATA_SUMMARY, run_data
from phi4train.cli_words import Verb, add_overrides, build_parser
from phi4train.errors import ConfigError

if TYPE_CHECKING:
    from phi4train.config.schema import Config


def _curriculum(words: Sequence[str]) -> None:
    from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum

    parser = build_parser("curriculum", VERBS["curriculum"].summary, "scale=demo")
    add_overrides(parser)
    parser.add_argument("--name", default=DEFAULT_CURRICULUM, help="which one (default: %(default)s)")
    options = parser.parse_intermixed_args(words)
    _check_curriculum_words(options.overrides)
    configs = _load_stages(load_curriculum(options.name, options.config_dir).stages, options)

    from rich.console import Console

    from phi4train.curriculum.run import run_curriculum

    run_curriculum(list(configs), configs.__getitem__, Console())


def _check_curriculum_words(words: Sequence[str]) -> None:
    """Refuses what would read as another key or value: a curriculum chooses its stages itself.

    Raises:
        ConfigError: says what to type instead.
    """
    problems = [
        f"a curriculum must choose its own stages; found '{word}'. "
        f"Train that stage alone with `phi4train {word} ...`, or choose a curriculum with --name."
        for word in words
        if word.lstrip("+~").startswith("stage=")
    ]
    problems += [
        f"words after `curriculum` must read key=value; found '{word}'. "
        f"A scale is chosen with scale={word}, a curriculum with --name {word}."
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


def _evaluate(words: Sequence[str]) -> None:
    parser = build_parser("evaluate", VERBS["evaluate"].summary, "stage=vision_sft scale=demo --show 8")
    add_overrides(parser)
    parser.add_argument("--artifact", type=Path, help="artifact folder (default: that of the stage's run)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--show", type=int, default=0, metavar="N", help="also print N answers")
    what.add_argument(
        "--regression",
        action="store_true",
        help="measure the held-out data of every earlier stage instead, and tell how far each metric moved",
    )
    options = parser.parse_intermixed_args(words)
    from phi4train.config.load import load_config

    config = load_config(options.overrides, options.config_dir)

    from rich.console import Console

    if options.regression:
        from phi4train.curriculum.regression import measure_regression

        measure_regression(config, Console(), artifact=options.artifact)
        return
    from phi4train.training.evaluation import evaluate_stage

    evaluate_stage(config, Console(), artifact=options.artifact, num_shown=options.show)


def _lineage(words: Sequence[str]) -> None:
    parser = build_parser("lineage", VERBS["lineage"].summary, "runs/vision_sft/demo/artifact")
    parser.add_argument("artifact", type=Path, help="artifact folder of a run")
    options = parser.parse_args(words)
    from phi4train.checkpoint.lineage import lineage_text

    print(lineage_text(options.artifact))


VERBS = {
    "curriculum": Verb("Train all stages that are missing or stale, parents first.", _curriculum),
    "data": Verb(DATA_SUMMARY, run_data),
    "evaluate": Verb("Measure a trained stage on its held-out data, and show answers.", _evaluate),
    "lineage": Verb("Print where an artifact comes from: stages, data, code, seeds.", _lineage),
}
"""By name; `train` is the verb when none is given."""
