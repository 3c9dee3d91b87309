"""The files of a user's folder (`--config-dir`), looked through before anything is composed of them."""

import re
from collections.abc import Iterator
from pathlib import Path

from phi4train.config.catalog import GROUPS
from phi4train.config.hydra_settings import refuse_hydra_settings
from phi4train.errors import ConfigError, few
from phi4train.yaml_files import MAX_CHARS, read_yaml

_COMPOSED = (*GROUPS, "at_scale")
"""Folders whose files Hydra puts at the root of a configuration, as their header says."""
MAX_COMPOSED_BYTES = 100_000
"""Longest file among them; composing a larger one and finding its problems takes many seconds."""
_HEADER = re.compile(r"^\s*#\s*@package\s+\S", re.MULTILINE)


def check_own_files(config_dir: Path | None) -> None:
    """Refuses a folder with files that cannot be composed as they were meant.

    Raises:
        ConfigError: some are too large, lack their header, or reach Hydra's own settings; names each.
    """
    if config_dir is None:
        return
    _refuse(_too_large(config_dir))  # before any of them is read
    refuse_hydra_settings(config_dir)
    _refuse(_without_header(config_dir))


def _refuse(problems: Iterator[str]) -> None:
    found = list(problems)
    if found:
        raise ConfigError(few(found))


def require_readable(config_dir: Path | None) -> None:
    """Reads every file that a composition may have stumbled over.

    Raises:
        ConfigError: one is no YAML, or nests values too deeply; names file and line.
    """
    if config_dir is not None:
        for group in _COMPOSED:
            for path in sorted((config_dir / group).rglob("*.yaml")):
                read_yaml(path)


def _too_large(config_dir: Path) -> Iterator[str]:
    for path in sorted(config_dir.rglob("*.yaml")):
        group = path.relative_to(config_dir).parts[0]
        most = MAX_COMPOSED_BYTES if group in _COMPOSED else MAX_CHARS
        if path.is_file() and path.stat().st_size > most:
            yield (
                f"files of {group} in --config-dir must have at most {most:,} bytes · "
                f"found {path.stat().st_size:,} in {path} · keep data elsewhere"
            )


def _without_header(config_dir: Path) -> Iterator[str]:
    for group in _COMPOSED:
        for path in sorted((config_dir / group).rglob("*.yaml")):
            if path.is_file() and not _HEADER.search(path.read_text(encoding="utf-8", errors="replace")):
                yield (
                    f"files of {group}/ must start with the line `# @package _global_`, which puts their "
                    f"keys where they belong · found {path} without it · add that line"
                )
