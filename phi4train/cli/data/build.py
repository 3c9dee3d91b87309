"""`phi4train data build`: makes the demo data."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from phi4train.config.schema import RunPathsConfig


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Builds a data set, unless it is there already."""
    parser.add_argument("what", choices=["demo"], help="the data set")
    parser.add_argument("--data-root", type=Path, default=Path(RunPathsConfig().data_root))
    parser.add_argument("--force", action="store_true", help="build anew what is there already")
    options = parser.parse_args(words)
    from phi4train.demo.build import build_demo

    built = build_demo(options.data_root, force=options.force)
    print(f"{options.data_root / 'demo'}: {'built' if built else 'up to date'}")
