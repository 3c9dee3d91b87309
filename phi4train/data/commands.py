"""The commands that messages about data name, so that they can be pasted as they are."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phi4train.command_lines import command_line

DEFAULT_DATA_ROOT = "data"
"""Where shards lie unless `run.data_root` or `--data-root` says otherwise."""

BUILD_DEMO = "phi4train data build demo"


@dataclass(frozen=True)
class Asked:
    """How data were asked for, so that a command can ask for the same.

    Args:
        settings: keys of text that decide which index fits, such as `tokenizer`, and their values.
        imports: the user's own modules, which may know further kinds of media.
        config_dir: the user's own folder.
    """

    settings: Mapping[str, str]
    imports: Sequence[str]
    config_dir: str | None


BY_NAME_ALONE = Asked({}, (), None)
"""Of data that were asked for with nothing but a name."""


def index_command(manifest: str, data_root: Path, asked: Asked) -> str:
    """The command that indexes the shards of a manifest, called as the user calls it, as they are needed."""
    words = ["phi4train", "data", "index", manifest]
    words += [f"imports=[{','.join(asked.imports)}]"] if asked.imports else []
    elsewhere = {"run.data_root": str(data_root)} if _is_elsewhere(data_root) else {}
    return command_line(words, {**asked.settings, **elsewhere}, asked.config_dir)


def build_command(build: str, data_root: Path) -> str:
    """A manifest's `build` command, aimed at `data_root` when it is one of phi4train's own."""
    if _is_elsewhere(data_root) and build.startswith("phi4train data build "):
        return f"{build} --data-root {shlex.quote(str(data_root))}"
    return build


def _is_elsewhere(data_root: Path) -> bool:
    return data_root != Path(DEFAULT_DATA_ROOT)
