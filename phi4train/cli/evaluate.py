"""`phi4train evaluate`: measures a trained stage on held-out data, and shows answers."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from phi4train.cli.words import add_overrides


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Measures an artifact and prints what was found.

    Raises:
        Phi4TrainError: whatever the user can mend.
    """
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
    from phi4train.evaluation.stage import evaluate_stage

    evaluate_stage(config, Console(), artifact=options.artifact, num_shown=options.show)
