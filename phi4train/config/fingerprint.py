"""Which settings decide what is learned, and how those of two runs differ."""

import json
from collections.abc import Mapping
from typing import Any

from phi4train.config.convert import config_to_dict, read_config
from phi4train.config.schema import MACHINE_KEYS, Config


def science_part(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that decide what is learned, dotted, of a configuration as `config_to_dict` gives it."""
    return dict(_leaves({key: value for key, value in values.items() if key not in MACHINE_KEYS}, ""))


def science_differences(recorded: Mapping[str, Any], config: Config) -> list[str]:
    """Science keys in which a recorded configuration differs from one, as `optimizer.lr: 0.0001 -> 0.0002`.

    A key that an earlier version did not have had what is now its default: a new key changes no old run.
    """
    filled, unread = read_config(recorded)
    lost = {
        key: value
        for key, value in science_part(recorded).items()
        if any(key == name or key.startswith(f"{name}.") for name in unread)
    }
    before, after = science_part(config_to_dict(filled)) | lost, science_part(config_to_dict(config))
    return [
        f"{key}: {_text(before, key)} -> {_text(after, key)}"
        for key in sorted(before.keys() | after.keys())
        if key not in before or key not in after or before[key] != after[key]
    ]


def _leaves(values: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return found


def _text(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key]) if key in values else "(absent)"
