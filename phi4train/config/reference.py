"""Writes docs/configuration.md from the schema: `python -m phi4train.config.reference` after a change of it.

Types, defaults and ranges are read from the dataclasses, meanings from the docstrings below their fields.
"""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from enum import EnumType
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml

from phi4train.config.annotations import annotations_of, is_optional, ranges_of, required
from phi4train.config.convert import config_to_dict
from phi4train.config.schema import MACHINE_KEYS, Config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"

_INTRODUCTION = """\
# Configuration

Every key of a run, as `key=value` on the command line and as YAML in a recipe. This page is written from the
schema (`phi4train/config/schema.py`) by `python -m phi4train.config.reference`; a test keeps it true.

- **Where values come from.** The defaults below, then `conf/hardware` and `conf/logger`, the recipe of
  `stage=`, the sizes of `scale=`, the recipe's corrections for that scale
  (`recipes/at_scale/<scale>/<stage>.yaml`), and last the command line. `phi4train stage=vision_sft --cfg job`
  prints the outcome, `--info defaults-tree` the files.
- **Science and machine.** Keys marked *machine* say where, how fast and how watched a run is; they may differ
  when it goes on. All others decide what is learned: with another value a run is refused to go on, and a
  finished stage is stale. A key that is new in a version has its default in older runs.
- **null** switches off what may be absent, and drops an entry of a mapping that a recipe inherits:
  `init: {lora.vision: null}`.
- **Text** stays as it is typed (`run.name=2026_01`). In YAML, text that looks like a number needs quotes.
- **Environment.** `${oc.env:NAME}` and `${oc.env:NAME,default}` may stand in `run.*` alone, for paths and
  names of a machine. A configuration is written down, in run folders, lineages and loggers: secrets are
  refused, by the place and by the variable's name.
- **Other keys.** `${optimizer.lr}` takes the value of another key; `${max:a,b}` the larger one of two.
"""


def page() -> str:
    """The whole page."""
    defaults = config_to_dict(Config())
    sections = [_INTRODUCTION, _section(Config, "", defaults, "Atop")]
    for name, annotation in annotations_of(Config).items():
        if dataclasses.is_dataclass(required(annotation)):
            sections += _sections(required(annotation), name, defaults[name])
    return "\n".join(sections)


def _sections(cls: Any, key: str, defaults: Any) -> Iterator[str]:
    """A section of the page for a dataclass, and one for each inside of it."""
    yield _section(cls, key, defaults, f"`{key}`")
    for name, annotation in annotations_of(cls).items():
        inner = required(annotation)
        if get_origin(inner) is dict and dataclasses.is_dataclass(get_args(inner)[1]):
            yield from _sections(get_args(inner)[1], f"{key}.{name}.<name>", vars(_made(get_args(inner)[1])))
        elif dataclasses.is_dataclass(inner):
            given = defaults[name]
            yield from _sections(inner, f"{key}.{name}", vars(_made(inner)) if given is None else given)


def _made(cls: Any) -> Any:
    """A dataclass of defaults."""
    return cls()


def _section(cls: Any, key: str, defaults: Any, title: str) -> str:
    is_machine = key.split(".")[0] in MACHINE_KEYS
    lines = [f"## {title}\n", f"{inspect.getdoc(cls)}{' *Machine.*' if is_machine else ''}\n"]
    rows = []
    for name, annotation in annotations_of(cls).items():
        inner = required(annotation)
        if dataclasses.is_dataclass(inner) and not is_optional(annotation):
            continue
        marked = " *Machine.*" if not key and name in MACHINE_KEYS else ""
        ranges = " and ".join(map(str, ranges_of(get_args(inner)[-1] if get_args(inner) else annotation)))
        meaning = f"{_meaning(cls, name)}{marked}{_choices(inner)}"
        cells = (
            f"`{key}.{name}`" if key else f"`{name}`",
            _type(annotation),
            _shown(defaults[name]),
            ranges,
            meaning,
        )
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    head = "| key | type | default | range | meaning |\n|---|---|---|---|---|"
    return "\n".join([*lines, *([head, *rows, ""] if rows else [])])


def _type(annotation: Any) -> str:
    inner = required(annotation)
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if get_origin(inner) is list:
        told = f"list of {_type(get_args(inner)[0])}s"
    elif get_origin(inner) is dict:
        value = get_args(inner)[1]
        told = "mapping of sections" if dataclasses.is_dataclass(value) else f"mapping of {_type(value)}s"
    elif dataclasses.is_dataclass(inner):
        told = "section"
    else:
        told = names.get(inner, "choice")
    return f"{told} or null" if is_optional(annotation) else told


def _choices(inner: Any) -> str:
    """The members of an enum, with what each means."""
    if not isinstance(inner, EnumType):
        return ""
    told = [f"`{name}`: {_meaning(inner, name)}" for name in inner.__members__]
    return f"<br>{'<br>'.join(told)}"


def _shown(value: Any) -> str:
    if value == "???":
        return "*to be chosen*"
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value)} values"
    if dataclasses.is_dataclass(value) or hasattr(value, "name"):
        value = getattr(value, "name", "")
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    return f"`{text}`" if text != "''" else ""


def _meaning(cls: Any, name: str) -> str:
    """The docstring below a field, in one line."""
    return " ".join(_field_docstrings(cls).get(name, "").split())


@cache
def _field_docstrings(cls: Any) -> dict[str, str]:
    """By field or member of a class, the string that stands below it."""
    tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    (body,) = (
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    found = {}
    for node, below in pairwise(body):
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            (target,) = node.targets  # type: ignore[assignment]
        if (
            isinstance(target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[target.id] = str(below.value.value)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
