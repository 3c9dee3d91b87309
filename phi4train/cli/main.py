"""The command line: dispatches verbs, trains when there is none, prints users' errors without traceback."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from phi4train.cli.verbs import VERBS
from phi4train.cli.words import run_verb
from phi4train.errors import ConfigError, Phi4TrainError, did_you_mean, few
from phi4train.os_errors import os_error_text
from phi4train.visible import visible


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code (0 fine, 2 the user's to mend, 75 interrupted, 130 Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    _show_what_cannot_be_encoded()
    try:
        _dispatch([argument for argument in arguments if argument != "--debug"])
    except Phi4TrainError as error:
        if debug:
            raise
        print(visible(_error_text(error)), file=sys.stderr)
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
        print(visible(f"error: {os_error_text(error)}"), file=sys.stderr)
        return 2
    return 0


def _show_what_cannot_be_encoded() -> None:
    """Where stdout takes ASCII alone, escapes stand for other letters instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _error_text(error: Phi4TrainError) -> str:
    problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    if len(problems) == 1:
        return f"error: {problems[0]}"
    return f"{len(problems)} errors:\n" + "\n".join(f"  - {problem}" for problem in few(problems, 50))


def _dispatch(arguments: list[str]) -> None:
    word = arguments[0] if arguments else "--help"
    if word in VERBS:
        run_verb(word, VERBS[word], arguments[1:])
    elif word == "train":
        _train(arguments[1:])
    elif word.startswith("-") or "=" in word:
        _train(arguments)
    else:
        verbs = {"train", *VERBS}
        raise ConfigError(
            f"the first word must be a verb or stage=<name> · found '{word}'{did_you_mean(word, verbs)} · "
            "correct the word"
        )


def _own_folder(arguments: list[str]) -> Path | None:
    """The folder of `--config-dir` among the arguments."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    folder: Path | None = parser.parse_known_args(arguments)[0].config_dir
    return folder


def _train(arguments: list[str]) -> None:
    asks_help = not arguments or "--help" in arguments or "-h" in arguments
    if asks_help and not any(argument.startswith("stage=") for argument in arguments):
        from phi4train.cli.help import help_text

        verbs = {name: verb.summary for name, verb in VERBS.items()}
        print(visible(help_text(verbs, _own_folder(arguments))))
        return
    if "--version" in arguments:
        from phi4train import __version__

        print(f"phi4train {__version__}")
        return
    from phi4train.cli import train

    train.run(arguments)
