"""Reading YAML that others wrote: plain values, each key once, and no more of them than a person writes."""

from pathlib import Path
from typing import Any

import yaml

from phi4train.errors import ConfigError

MAX_CHARS = 1_000_000
"""Longest text; a second's work of the parser."""
MAX_NODES = 200_000
"""Most values of a file, those that its aliases repeat counted each time."""


class TooManyNodesError(yaml.MarkedYAMLError):
    """Aliases, or the file itself, would unfold to more values than MAX_NODES."""


def parse_yaml(text: str, name: str) -> Any:
    """What YAML text holds.

    Args:
        name: the file as errors call it.

    Raises:
        yaml.YAMLError: it is not YAML, has a key twice, more than MAX_NODES values or MAX_CHARS characters.
    """
    if len(text) > MAX_CHARS:
        mark = yaml.Mark(name, 0, 0, 0, None, 0)
        problem = f"{len(text):,} characters, more than {MAX_CHARS:,}"
        raise TooManyNodesError(problem=problem, problem_mark=mark)
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        mark = yaml.Mark(name, 0, text.count("\n", 0, error.position), 0, None, 0)
        problem = f"the character U+{ord(text[error.position]):04X}"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark) from error
    loader.name = name
    try:
        return loader.get_single_data()
    except RecursionError as error:
        raise TooManyNodesError(problem="values nested too deeply", problem_mark=loader.get_mark()) from error
    except ValueError as error:  # such as a number of more digits than Python reads, or no day of a calendar
        raise yaml.MarkedYAMLError(
            problem=str(error).partition(";")[0], problem_mark=loader.get_mark()
        ) from error
    finally:
        loader.dispose()


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        ConfigError: it is not YAML, has a key twice or too many values; names file and line.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"files of stages, scales and curricula must be UTF-8 text · found {error} in {path} · "
            "mend the file"
        ) from error
    except yaml.YAMLError as error:
        raise unreadable_yaml(error) from error


def unreadable_yaml(error: yaml.YAMLError) -> ConfigError:
    """The error of a file that is not YAML, as its parser tells it."""
    mark = getattr(error, "problem_mark", None)
    where = f"{mark.name}, line {mark.line + 1}" if mark is not None else "it"
    return ConfigError(
        f"files of stages, scales and curricula must be readable YAML · found in {where}: {_problem(error)} "
        "· mend the file"
    )


def yaml_problem(error: yaml.YAMLError) -> str:
    """What a parser found and in which line, in one line."""
    mark = getattr(error, "problem_mark", None)
    return _problem(error) if mark is None else f"in line {mark.line + 1}: {_problem(error)}"


def _problem(error: yaml.YAMLError) -> str:
    return " ".join(str(getattr(error, "problem", None) or error).split())


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which would keep the last of two equal keys and unfold any alias."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._num_nodes = 0
        self._num_below: dict[int, int] = {}  # by id of a finished node; the tree keeps nodes alive

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node and all below it, counted; an alias counts as what it repeats."""
        is_alias = self.check_event(yaml.AliasEvent)
        mark, before = self.peek_event().start_mark, self._num_nodes  # type: ignore[no-untyped-call]
        if not is_alias:
            self._count(1, mark)
        node = super().compose_node(parent, index)
        if is_alias:
            if id(node) not in self._num_below:
                raise yaml.MarkedYAMLError(
                    problem="found an alias inside of what it repeats", problem_mark=mark
                )
            self._count(self._num_below[id(node)], mark)
        else:
            self._num_below[id(node)] = self._num_nodes - before
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping, each of whose keys is there once."""
        node = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # told when it is constructed
            is_merge = key_node.tag == "tag:yaml.org,2002:merge"
            key = key_node.value if is_merge else self.construct_object(key_node)
            if key in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"found the key '{key}' again, which line {lines[key]} has already",
                    problem_mark=key_node.start_mark,
                )
            lines[key] = key_node.start_mark.line + 1
        return node

    def _count(self, number: int, mark: Any) -> None:
        self._num_nodes += number
        if self._num_nodes > MAX_NODES:
            raise TooManyNodesError(
                problem=f"found more than {MAX_NODES:,} values, aliases unfolded", problem_mark=mark
            )
