"""The verbs besides `train`: each parses its words, then calls into the package that does the work."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phi4train.config.schema import RunPathsConfig
from phi4train.errors import ConfigError

if TYPE_CHECKING:
    from phi4train.config.schema import Config


@dataclass(frozen=True)
class Verb:
    """A word of the command line."""

    summary: str
    """One line for --help."""
    run: Callable[[Sequence[str]], None]
    """Does it, given the words after the verb."""


def _parser(verb: str, summary: str, example: str) -> ArgumentParser:
    return ArgumentParser(
        prog=f"phi4train {verb}",
        description=summary,
        epilog=f"example:\n  phi4train {verb} {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )


def _add_overrides(parser: ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as for training: scale=demo, ...")
    parser.add_argument("--config-dir", type=Path, help="folder with your own stages, scales, curricula")


def _curriculum(words: Sequence[str]) -> None:
    from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum

    parser = _parser("curriculum", VERBS["curriculum"].summary, "scale=demo")
    _add_overrides(parser)
    parser.add_argument("--name", default=DEFAULT_CURRICULUM, help="which one (default: %(default)s)")
    options = parser.parse_intermixed_args(words)
    configs = _load_stages(load_curriculum(options.name, options.config_dir).stages, options)

    from rich.console import Console

    from phi4train.curriculum.run import run_curriculum

    run_curriculum(list(configs), configs.__getitem__, Console())


def _load_stages(stages: Sequence[str], options: Namespace) -> dict[str, "Config"]:
    """The configuration of every stage; the problems of all of them are reported at once."""
    from phi4train.config.load import load_config

    configs, problems = {}, []
    for stage in stages:
        try:
            configs[stage] = load_config([f"stage={stage}", *options.overrides], options.config_dir)
        except ConfigError as error:
            problems += [f"{stage}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return configs


def _lineage(words: Sequence[str]) -> None:
    parser = _parser("lineage", VERBS["lineage"].summary, "runs/vision_sft/demo/artifact")
    parser.add_argument("artifact", type=Path, help="artifact folder of a run")
    options = parser.parse_args(words)
    from phi4train.checkpoint.lineage import lineage_text

    print(lineage_text(options.artifact))


def _data_build(words: Sequence[str]) -> None:
    parser = _parser("data build", _DATA_VERBS["build"].summary, "demo")
    parser.add_argument("what", choices=["demo"], help="the data set")
    parser.add_argument("--data-root", type=Path, default=Path(RunPathsConfig().data_root))
    parser.add_argument("--force", action="store_true", help="build anew what is there already")
    options = parser.parse_args(words)
    from phi4train.demo.build import build_demo

    built = build_demo(options.data_root, force=options.force)
    print(f"{options.data_root / 'demo'}: {'built' if built else 'up to date'}")


_DATA_VERBS = {
    "build": Verb("Build the demo data set from real sources that pip installs.", _data_build),
}


def _data(words: Sequence[str]) -> None:
    summary = VERBS["data"].summary
    listing = "\n".join(f"  {name:6} {verb.summary}" for name, verb in _DATA_VERBS.items())
    parser = _parser("data", f"{summary}\n\n{listing}", "check stage=vision_sft scale=demo")
    parser.add_argument("verb", choices=list(_DATA_VERBS), help="each has --help")
    options = parser.parse_args(words[:1])
    _DATA_VERBS[options.verb].run(words[1:])


VERBS = {
    "curriculum": Verb("Train all stages that are missing or stale, parents first.", _curriculum),
    "data": Verb("Build, index, check, measure and look at data.", _data),
    "lineage": Verb("Print where an artifact comes from: stages, data, code, seeds.", _lineage),
}
"""By name; `train` is the verb when none is given."""
