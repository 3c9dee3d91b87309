"""The commands that messages about data name, so that they can be pasted as they are."""

import shlex
from pathlib import Path

from phi4train.command_lines import command_line

DEFAULT_DATA_ROOT = "data"
"""Where shards lie unless `run.data_root` or `--data-root` says otherwise."""

BUILD_DEMO = "phi4train data build demo"


def index_command(manifest: str, data_root: Path) -> str:
    """The command that indexes the shards of a manifest, called as the user calls it."""
    elsewhere = {"run.data_root": str(data_root)} if _is_elsewhere(data_root) else {}
    return command_line(["phi4train", "data", "index", manifest], elsewhere)


def build_command(build: str, data_root: Path) -> str:
    """A manifest's `build` command, aimed at `data_root` when it is one of phi4train's own."""
    if _is_elsewhere(data_root) and build.startswith("phi4train data build "):
        return f"{build} --data-root {shlex.quote(str(data_root))}"
    return build


def _is_elsewhere(data_root: Path) -> bool:
    return data_root != Path(DEFAULT_DATA_ROOT)
