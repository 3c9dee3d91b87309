"""Which names a run may have: each is one part of a path, `<run.root>/<stage>/<run.name>`."""

import re
from collections.abc import Iterator

MAX_NAME_BYTES = 255
"""Longest name of a folder on common file systems."""


def run_name_problems(name: str) -> Iterator[str]:
    """What keeps a run's name from being the name of a folder of its own."""
    if name in (".", "..") or not re.fullmatch(r"[\w.+=-]+", name):
        yield (
            "run.name must be one part of a path, of letters, digits and . _ + - =, and neither . nor .. · "
            f"found {name!r:.80} · write for example run.name=first_try, and the folder in run.root"
        )
    elif (size := len(name.encode())) > MAX_NAME_BYTES:
        yield (
            f"run.name must have at most {MAX_NAME_BYTES} bytes, those of the swept settings included · "
            f"found {size} in '{name:.40}...' · shorten it, or sweep fewer or shorter settings"
        )
