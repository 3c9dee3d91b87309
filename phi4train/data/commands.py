"""The commands that messages about data name, so that they can be pasted as they are."""

import shlex
from pathlib import Path

DEFAULT_DATA_ROOT = "data"
"""Where shards lie unless `run.data_root` or `--data-root` says otherwise."""

BUILD_DEMO = "phi4train data build demo"


def index_command(manifest: str, data_root: Path) -> str:
    """The command that indexes the shards of a manifest, called as the user calls it."""
    words = ["phi4train", "data", "index", manifest]
    if _is_elsewhere(data_root):
        words.append(f"run.data_root={data_root}")
    return shlex.join(words)


def build_command(build: str, data_root: Path) -> str:
    """A manifest's `build` command, aimed at `data_root` when it is one of phi4train's own."""
    if _is_elsewhere(data_root) and build.startswith("phi4train data build "):
        return f"{build} --data-root {shlex.quote(str(data_root))}"
    return build


def _is_elsewhere(data_root: Path) -> bool:
    return data_root != Path(DEFAULT_DATA_ROOT)
