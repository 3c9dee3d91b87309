"""Commands that messages name: pasted into a shell they reach Hydra as they were meant."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

_READ_AS_IT_IS = re.compile(r"[A-Za-z_./][\w./+-]*( [\w./+-]+)*", re.ASCII)
"""Text that means itself in Hydra's grammar, but for the words of `_VALUES`."""
_VALUES = {"null", "true", "false", "inf", "nan"}


def command_line(
    words: Sequence[str], settings: Mapping[str, str] | None = None, config_dir: str | Path | None = None
) -> str:
    """A command to be pasted in a shell.

    Args:
        words: the program, its verbs and their arguments.
        settings: values of text by key, as the run is to have them; no quotes of any kind.
        config_dir: the user's folder, for `--config-dir`.
    """
    overrides = [override_word(key, value) for key, value in (settings or {}).items()]
    own = [] if config_dir is None else ["--config-dir", str(config_dir)]
    return shlex.join([*words, *overrides, *own])


def override_word(key: str, value: str) -> str:
    """`key=value` as Hydra is to read it, so that the value is this very text; not quoted for a shell."""
    if _READ_AS_IT_IS.fullmatch(value) and value.lower() not in _VALUES:
        return f"{key}={value}"
    return f"{key}={quoted_for_hydra(value)}"


def quoted_for_hydra(text: str) -> str:
    """Text in quotes that Hydra's grammar, and then OmegaConf, read as this very text.

    Double quotes, since a shell's single ones leave those alone.
    """
    no_interpolation = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    # A backslash is one as it is, unless a quote follows: both are told apart by doubling it there.
    inner = re.sub(r'(\\*)("|\Z)', lambda at: at[1] * 2 + ('\\"' if at[2] else ""), no_interpolation)
    return f'"{inner}"'
