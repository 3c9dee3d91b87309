"""Which names a run may have, each one part of `<run.root>/<stage>/<run.name>`, and where parents are."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from phi4train.config.schema import Config

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
            f"run.name must have at most {MAX_NAME_BYTES} bytes · found {size} in '{name:.40}...' · "
            "shorten it"
        )


def within_bytes(name: str) -> str:
    """A name that a folder can have: one that is too long ends with a hash of all of it instead."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    mark = f"-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return name.encode()[: MAX_NAME_BYTES - len(mark)].decode(errors="ignore") + mark


def default_artifact(config: Config, stage: str) -> Path:
    """Where a parent's artifact is when `run.parents` does not say: in the run of this run's name.

    Without one there, in the run of the scale's name: a run that is called `try2` still starts from what the
    stages before it have made.
    """
    names = (config.run.name, config.scale)
    own, of_scale = (Path(config.run.root) / stage / name / "artifact" for name in names)
    return of_scale if of_scale.is_dir() and not own.is_dir() else own
