"""Checks `group=option` and `key=value` before Hydra sees them; all problems at once."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override
from hydra.errors import HydraException

from phi4train.command_lines import quoted_for_hydra
from phi4train.config.catalog import GROUPS, Catalog
from phi4train.config.convert import (
    holds_texts,
    is_free_key,
    is_known_key,
    is_text_key,
    unknown_key,
    value_problems,
)
from phi4train.config.hydra_settings import ALLOWED_SETTINGS, override_problem
from phi4train.config.own_files import check_own_files
from phi4train.config.run_names import run_name_problems
from phi4train.errors import ConfigError, did_you_mean, shortened

MAX_WORD_CHARS = 4000
"""Longest override: Hydra's parser takes a second for 10,000 characters."""
MAX_NESTING = 20
"""Most brackets that an override may open inside each other."""


@dataclass(frozen=True)
class CheckedOverrides:
    """What a user typed, sorted out."""

    accepted: dict[str, str]
    """The overrides that hold, as typed, and how Hydra is to read them."""
    swept: dict[str, Override]
    """Those among them that give several values to try, as typed."""
    problems: list[str]


def check_overrides(overrides: Iterable[str], catalog: Catalog, multirun: bool = False) -> CheckedOverrides:
    """Sorts overrides into those that Hydra can take and the problems of the others.

    Args:
        multirun: overrides may give several values; these are judged when their trials are composed.

    Raises:
        ConfigError: files of the user's folder must not be composed: they reach Hydra's own settings, are too
            large, or are no files of their group.
    """
    check_own_files(catalog.config_dir)
    parser = OverridesParser.create()
    accepted: dict[str, str] = {}
    swept: dict[str, Override] = {}
    problems = [
        f"files under --config-dir must have new names · found {name}, which phi4train has too · rename it"
        for name in catalog.collisions()
    ]
    chosen: set[str] = set()
    for text in overrides:
        try:
            override, typed = _parse(parser, text, multirun)
        except ConfigError as error:
            problems += error.problems
            continue
        chosen.add(override.key_or_group)
        found = list(_problems(override, catalog, multirun))
        problems += found
        if not found:
            accepted[text] = _for_hydra(override, typed)
            if override.is_sweep_override():
                swept[text] = override
    if "stage" not in chosen:
        stages = ", ".join(catalog.stage_descriptions())
        problems.insert(0, f"stage must be chosen · found none · add stage=<one of {stages}>")
    return CheckedOverrides(accepted, swept, problems)


def _parse(parser: OverridesParser, text: str, multirun: bool) -> tuple[Override, str]:
    """An override, and its text with quotes around what is meant as text.

    Raises:
        ConfigError: it cannot be read, or not in reasonable time.
    """
    if len(text) > MAX_WORD_CHARS:
        raise ConfigError(
            f"an override must have at most {MAX_WORD_CHARS:,} characters · found {len(text):,} in "
            f"'{shortened(text)}' · put the value into a recipe of --config-dir"
        )
    if _nesting(text) > MAX_NESTING:
        raise ConfigError(
            f"an override must open at most {MAX_NESTING} brackets inside each other · found "
            f"{_nesting(text)} in '{shortened(text)}' · write a simpler value"
        )
    try:
        override = parser.parse_override(text)
        typed = _as_typed(override, text)
        return (override if typed == text else parser.parse_override(typed)), typed
    except (HydraException, ValueError) as error:  # ValueError: more digits than Python reads
        key, _, raw = text.partition("=")
        is_plain = "=" in text and not re.match(r"\s*['\"]", raw) and "${" not in raw
        if is_plain and is_text_key(key.lstrip("+")) and not (multirun and "," in raw):
            typed = f"{key}={quoted_for_hydra(raw)}"
            return parser.parse_override(typed), typed
        raise ConfigError(
            f"an override must read key=value · found '{shortened(text)}' · "
            "quote values with special characters"
        ) from error


def _nesting(text: str) -> int:
    depth = deepest = 0
    for sign in text:
        depth += (sign in "[{(") - (sign in "]})")
        deepest = max(deepest, depth)
    return deepest


def _problems(override: Override, catalog: Catalog, multirun: bool) -> Iterator[str]:
    key = override.key_or_group
    problem = override_problem(override)
    if problem is not None:
        yield problem
    if problem is not None or key in ALLOWED_SETTINGS:
        return
    if key not in GROUPS and not is_known_key(key):
        yield unknown_key(key)
    elif override.is_sweep_override():
        yield from _sweep_problems(override, multirun)
    elif key in GROUPS:
        known = catalog.options[key]
        for option in _chosen_options(override):
            if option not in known:
                yield (
                    f"{key} must be an option of its group · found '{option}'{did_you_mean(option, known)} · "
                    "correct the name"
                )
    elif not override.is_delete() and "${" not in str(override.value()):
        # Interpolations are judged once they are resolved.
        wrong = value_problems(key, override.value())
        yield from wrong
        if key == "run.name" and not wrong:
            yield from run_name_problems(str(override.value()))


def _sweep_problems(override: Override, multirun: bool) -> Iterator[str]:
    key, line = override.key_or_group, override.input_line
    if not multirun:
        yield f"{key} must be one value · found '{line}' · add -m to try each, or write [a,b]"
    elif isinstance(override.value(), Glob) and key not in GROUPS:
        yield f"{key} must be swept over values · found '{line}' · glob is for {', '.join(GROUPS)}; list them"
    elif not override.is_discrete_sweep():
        yield f"{key} must be swept over single values · found '{line}' · list them, or write range(...)"


def _chosen_options(override: Override) -> list[str]:
    if override.is_delete():
        return []
    value = override.value()
    if isinstance(value, list):
        return [str(item) for item in value]
    return [override.get_value_element_as_str()]


def _as_typed(override: Override, text: str) -> str:
    """The override with quotes around digits that are meant as text: `2026_01` would become 202601."""
    key = override.key_or_group
    if override.is_delete():
        return text
    name, _, raw = text.partition("=")
    value = override.value()
    if isinstance(value, list) and holds_texts(key):
        return f"{name}={_quoted_items(value, raw)}"
    if not is_text_key(key):
        return text
    if isinstance(value, ChoiceSweep) and value.simple_form and not set(raw) & set("'\"()[]{}\\"):
        typed = [_quoted(item, part) for item, part in zip(value.list, raw.split(","), strict=True)]
        return f"{name}={','.join(typed)}"
    return f"{name}={_quoted(value, raw)}"


def _quoted_items(values: list[Any], raw: str) -> str:
    """A list `[a,1.10]`, whose numbers are text; one with quotes or brackets inside says itself what is."""
    inner = raw.strip()[1:-1]
    if set(inner) & set("'\"()[]{}\\"):
        return raw
    return f"[{','.join(_quoted(*item) for item in zip(values, inner.split(','), strict=False))}]"


def _quoted(value: Any, raw: str) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"'{raw.strip()}'" if is_number else raw


def _for_hydra(override: Override, text: str) -> str:
    """`run.parents.lm_sft=x` adds an entry that may not be there yet, which Hydra refuses without `++`."""
    changes = not (override.is_add() or override.is_force_add() or override.is_delete())
    return f"++{text}" if changes and is_free_key(override.key_or_group) else text
