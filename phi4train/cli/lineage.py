"""`phi4train lineage`: prints where an artifact comes from."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from phi4train.visible import visible


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Prints the tree of artifacts.

    Raises:
        CheckpointError: there is no such artifact, or it is damaged.
    """
    parser.add_argument("artifact", type=Path, help="artifact folder of a run")
    options = parser.parse_args(words)
    from phi4train.checkpoint.lineage import lineage_text

    print(visible(lineage_text(options.artifact)))
