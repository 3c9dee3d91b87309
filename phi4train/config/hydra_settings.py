"""Hydra's own settings can name Python objects to be called: a user's files and words set none of them.

Only `imports:` may run code, and says so: a recipe that somebody else wrote can be composed and read.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override

from phi4train.errors import ConfigError
from phi4train.yaml_files import TooManyNodesError, parse_yaml, unreadable_yaml

ALLOWED_SETTINGS = ("hydra.verbose",)
"""Settings of Hydra that name no code."""

_PACKAGE_HEADER = re.compile(r"^\s*#\s*@package\b.*(hydra|\$)", re.MULTILINE)
_REMEDY = "remove it; of a recipe only the modules in imports may run code"


def refuse_hydra_settings(config_dir: Path | None) -> None:
    """Looks through the YAML files of a user's folder, before anything is composed of them.

    Raises:
        ConfigError: some of them reach Hydra's own settings; names each. Or one has too many values.
    """
    files = [] if config_dir is None else sorted(config_dir.rglob("*.yaml"))
    problems = [
        f"files of --config-dir must leave Hydra's own settings alone · found {found} in {path} · {_REMEDY}"
        for path in files
        for found in _settings_in(path, path.relative_to(config_dir or path))
    ]
    if problems:
        raise ConfigError(problems)


def override_problem(override: Override) -> str | None:
    """What is wrong with a word that sets one of Hydra's own settings, or puts a file under another key."""
    key = override.key_or_group
    if override.package is not None:
        return (
            f"an override must name a key or a group, without @package · found '{override.input_line}' · "
            "write group=option"
        )
    if re.split(r"[./]", key)[0] != "hydra" or key in ALLOWED_SETTINGS:
        return None
    return (
        f"Hydra's own settings must stay as they are, but for {', '.join(ALLOWED_SETTINGS)} · found '{key}' "
        f"· {_REMEDY}"
    )


def _settings_in(path: Path, inside: Path) -> list[str]:
    """How a file reaches Hydra's settings: by its place, its package, its keys or its defaults."""
    if "hydra" in inside.parts:
        return ["a group hydra/"]
    try:
        text = path.read_text(encoding="utf-8")
        if not re.search(r"hydra|[\\$&]", text):  # parsing every file of a large folder takes seconds
            return []
        content = parse_yaml(text, str(path))
    except TooManyNodesError as error:  # Hydra would unfold them
        raise unreadable_yaml(error) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError):  # told by whoever needs the file
        return []
    found = ["a @package header of Hydra's"] if _PACKAGE_HEADER.search(text) else []
    if not isinstance(content, dict):
        return found
    found += [f"the key '{key}'" for key in content if re.split(r"[./@]", str(key))[0] == "hydra"]
    defaults = content.get("defaults")
    entries = defaults if isinstance(defaults, list) else []
    defaults_found = [words for entry in entries for words in _words(entry) if _is_hydras(words)]
    return [*found, *(f"the default '{words}'" for words in defaults_found)]


def _words(entry: Any) -> list[str]:
    """An entry of a list of defaults as text: `group@package: option`."""
    if isinstance(entry, dict):
        return [f"{group}: {option}" for group, option in entry.items()]
    return [str(entry)]


def _is_hydras(words: str) -> bool:
    group = words.split(": ")[0]
    return "hydra" in words or ("@" in group and "$" in group)
