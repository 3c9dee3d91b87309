"""What all verbs share: how they are described, found and run, and how they take overrides."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Verb:
    """A word of the command line."""

    summary: str
    """One line for --help."""
    module: str
    """Imported when the verb is typed; its `run(parser, words)` does it, given the words after the verb."""
    example: str
    """Words after the verb, for its --help."""


def run_verb(name: str, verb: Verb, words: Sequence[str]) -> None:
    """Imports a verb's module and runs it with a parser whose --help ends with the example."""
    parser = ArgumentParser(
        prog=f"phi4train {name}",
        description=verb.summary,
        epilog=f"example:\n  phi4train {name} {verb.example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    import_module(verb.module).run(parser, words)


def add_overrides(parser: ArgumentParser, also: str = "") -> None:
    """Lets a parser take `key=value`, and other words when `also` says what they are."""
    explained = "as for training: stage=..., scale=..., key=value" + (f"; or {also}" if also else "")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=explained)
    parser.add_argument("--config-dir", type=Path, help="folder with your own stages, scales, curricula")
