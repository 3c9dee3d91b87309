"""What all verbs share: how they describe themselves and take overrides."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Verb:
    """A word of the command line."""

    summary: str
    """One line for --help."""
    run: Callable[[Sequence[str]], None]
    """Does it, given the words after the verb."""


def build_parser(verb: str, summary: str, example: str) -> ArgumentParser:
    """A parser whose --help ends with an example."""
    return ArgumentParser(
        prog=f"phi4train {verb}",
        description=summary,
        epilog=f"example:\n  phi4train {verb} {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )


def add_overrides(parser: ArgumentParser, also: str = "") -> None:
    """Lets a parser take `key=value`, and other words when `also` says what they are."""
    explained = "as for training: stage=..., scale=..., key=value" + (f"; or {also}" if also else "")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=explained)
    parser.add_argument("--config-dir", type=Path, help="folder with your own stages, scales, curricula")
