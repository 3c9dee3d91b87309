"""Checks `group=option` and `key=value` before Hydra sees them; all problems at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString
from hydra.errors import HydraException

from phi4train.config.catalog import GROUPS, Catalog
from phi4train.config.convert import is_free_key, is_known_key, is_text_key, unknown_key, value_problems
from phi4train.config.hydra_settings import ALLOWED_SETTINGS, override_problem, refuse_hydra_settings
from phi4train.config.run_names import run_name_problems
from phi4train.errors import did_you_mean


@dataclass(frozen=True)
class CheckedOverrides:
    """What a user typed, sorted out."""

    accepted: dict[str, str]
    """The overrides that hold, as typed, and how Hydra is to read them."""
    swept_keys: list[str]
    """Keys and groups that a multirun tries several values of."""
    problems: list[str]


def check_overrides(overrides: Iterable[str], catalog: Catalog, multirun: bool = False) -> CheckedOverrides:
    """Sorts overrides into those that Hydra can take and the problems of the others.

    Raises:
        ConfigError: files of the user's folder reach Hydra's own settings: nothing may be composed of them.
    """
    refuse_hydra_settings(catalog.config_dir)
    parser = OverridesParser.create()
    accepted: dict[str, str] = {}
    swept_keys: list[str] = []
    problems = [
        f"files under --config-dir must have new names · found {name}, which phi4train has too · rename it"
        for name in catalog.collisions()
    ]
    chosen: set[str] = set()
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException:
            problems.append(
                f"an override must read key=value · found '{text}' · quote values with special characters"
            )
            continue
        typed = _as_typed(override, text)
        if typed != text:
            override = parser.parse_override(typed)
        chosen.add(override.key_or_group)
        found = list(_problems(override, catalog, multirun))
        problems += found
        if not found:
            accepted[text] = _for_hydra(override, typed)
            if override.is_sweep_override():
                swept_keys.append(override.key_or_group)
    if "stage" not in chosen:
        stages = ", ".join(catalog.stage_descriptions())
        problems.insert(0, f"stage must be chosen · found none · add stage=<one of {stages}>")
    return CheckedOverrides(accepted, swept_keys, problems)


def _problems(override: Override, catalog: Catalog, multirun: bool) -> Iterator[str]:
    key = override.key_or_group
    problem = override_problem(override)
    if problem is not None:
        yield problem
    if problem is not None or key in ALLOWED_SETTINGS:
        return
    if override.is_sweep_override() and not multirun:
        yield f"{key} must be one value · found '{override.input_line}' · add -m to try each, or write [a,b]"
    elif key in GROUPS:
        known = catalog.options[key]
        for option in _chosen_options(override):
            if option not in known:
                yield (
                    f"{key} must be an option of its group · found '{option}'{did_you_mean(option, known)} · "
                    "correct the name"
                )
    elif not is_known_key(key):
        yield unknown_key(key)
    elif not override.is_delete():
        for value in _tried_values(override):
            wrong = value_problems(key, value)
            yield from wrong
            if key == "run.name" and not wrong:
                yield from run_name_problems(str(value))


def _chosen_options(override: Override) -> list[str]:
    if override.is_delete():
        return []
    if not override.is_sweep_override():
        value = override.value()
        return (
            [str(item) for item in value]
            if isinstance(value, list)
            else [override.get_value_element_as_str()]
        )
    if isinstance(override.value(), Glob):
        return []
    return list(override.sweep_string_iterator())


def _tried_values(override: Override) -> list[Any]:
    """Values that can be judged now; interpolations are judged once they are resolved."""
    if not override.is_sweep_override():
        values = [override.value()]
    elif override.is_discrete_sweep() and not isinstance(override.value(), Glob):
        tried = override.sweep_iterator()
        values = [value.text if isinstance(value, QuotedString) else value for value in tried]
    else:
        values = []
    return [value for value in values if "${" not in str(value)]


def _as_typed(override: Override, text: str) -> str:
    """The override with quotes around digits that are meant as text: `2026_01` would become 202601."""
    key = override.key_or_group
    if override.is_delete() or not is_text_key(key):
        return text
    name, _, raw = text.partition("=")
    value = override.value()
    if isinstance(value, ChoiceSweep) and value.simple_form and not set(raw) & set("'\"()[]{}\\"):
        typed = [_quoted(item, part) for item, part in zip(value.list, raw.split(","), strict=True)]
        return f"{name}={','.join(typed)}"
    return f"{name}={_quoted(value, raw)}"


def _quoted(value: Any, raw: str) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"'{raw.strip()}'" if is_number else raw


def _for_hydra(override: Override, text: str) -> str:
    """`run.parents.lm_sft=x` adds an entry that may not be there yet, which Hydra refuses without `++`."""
    changes = not (override.is_add() or override.is_force_add() or override.is_delete())
    return f"++{text}" if changes and is_free_key(override.key_or_group) else text
