"""Between plain mappings and the typed configuration; reading reports every wrong key and type at once."""

import dataclasses
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any, get_args, get_origin

from phi4train.config.annotations import all_keys, annotation_of, annotations_of, is_optional, required
from phi4train.config.schema import Config
from phi4train.errors import did_you_mean, shortened


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as JSON values; enums by name."""
    plain: dict[str, Any] = _to_plain(config)
    return plain


def read_config(values: Mapping[str, Any]) -> tuple[Config, dict[str, str]]:
    """The configuration with defaults in place of what could not be read, and the problems by key."""
    reader = _Reader()
    config = reader.read_dataclass(values, Config, "")
    return config, reader.problems


def value_problems(key: str, value: Any) -> list[str]:
    """What is wrong with the type of a value for a known key."""
    values = value
    for part in reversed(key.split(".")):
        values = {part: values}
    return list(read_config(values)[1].values())


def is_known_key(key: str) -> bool:
    """Whether `key` (dotted, as typed by a user) names a value or a section of the schema."""
    return annotation_of(key) is not None


def is_free_key(key: str) -> bool:
    """Whether `key` lies in a mapping or an optional section, so that composed values may lack it."""
    parts = key.split(".")
    parents = (annotation_of(".".join(parts[:end])) for end in range(1, len(parts)))
    return any(get_origin(parent) is dict or is_optional(parent) for parent in parents)


def holds_texts(key: str) -> bool:
    """Whether the schema wants a list of texts for `key`."""
    annotation = annotation_of(key)
    inner = required(annotation) if annotation is not None else None
    return get_origin(inner) is list and get_args(inner)[0] is str


def is_text_key(key: str) -> bool:
    """Whether the schema wants text for `key`, so that digits typed for it are no number."""
    annotation = annotation_of(key)
    inner = required(annotation) if annotation is not None else None
    if get_origin(inner) is dict and "." in key:  # an entry of a mapping, or the mapping itself
        parent = annotation_of(key.rpartition(".")[0])
        return get_origin(required(parent)) is dict and get_args(inner)[1] is str
    return inner is str


KNOWN_ELSEWHERE_AS = {
    "batch_size": "budget.global_batch_samples",
    "bf16": "hardware.precision",
    "context_length": "data.context_tokens",
    "dataset": "data.manifest",
    "devices": "hardware.ranks",
    "epochs": "budget.max_steps",
    "fp16": "hardware.precision",
    "gradient_accumulation_steps": "hardware.micro_batch_tokens",
    "gradient_checkpointing": "hardware.activation_checkpointing",
    "learning_rate": "optimizer.lr",
    "max_grad_norm": "optimizer.gradient_clip_val",
    "max_seq_length": "data.context_tokens",
    "num_epochs": "budget.max_steps",
    "num_train_epochs": "budget.max_steps",
    "output_dir": "run.root",
    "save_steps": "checkpoint.every_n_steps",
    "train_batch_size": "budget.global_batch_samples",
    "wandb": "logger.wandb_project",
    "warmup_ratio": "schedule.warmup_fraction",
}
"""Last words of keys in other programs, and the keys that do their work here."""


def unknown_key(key: str) -> str:
    """The problem of a key that the schema does not have, with the nearest keys that it has."""
    names = all_keys()
    last = key.rsplit(".", 1)[-1]
    near = [name for name in names if name.rsplit(".", 1)[-1] == last]
    if not near and last in KNOWN_ELSEWHERE_AS:
        near = [KNOWN_ELSEWHERE_AS[last]]
    near = near or get_close_matches(key, names, n=1)
    if not near:
        by_last = {name.rsplit(".", 1)[-1]: name for name in names}
        near = [by_last[name] for name in get_close_matches(last, by_last, n=1)]
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "`--cfg job` prints all keys"
    return f"{shortened(key)} must be a key of the configuration · found no such key · {hint}"


def _to_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    return value


class _Unreadable(Exception):
    """The value is not of the type that its key needs; the message says which type that is."""

    def __init__(self, needed: str, hint: str = "", remedy: str = "correct the value") -> None:
        super().__init__(needed)
        self.hint = hint
        self.remedy = remedy


class _Reader:
    """Reads values against the schema's annotations and gathers the problems by key."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def read_dataclass(self, values: Any, cls: Any, prefix: str) -> Any:
        if not isinstance(values, Mapping):
            raise _Unreadable("a section with keys of its own")
        annotations = annotations_of(cls)
        for name in values:
            if name not in annotations:
                self.problems[f"{prefix}{name}"] = unknown_key(f"{prefix}{name}")
        return cls(
            **self._read_items(
                {name: values[name] for name in annotations if name in values}, annotations, prefix
            )
        )

    def _read_items(
        self, values: Mapping[str, Any], annotations: Mapping[str, Any], prefix: str
    ) -> dict[str, Any]:
        read = {}
        for name, value in values.items():
            try:
                read[name] = self.read_value(value, annotations[name], prefix + name)
            except _Unreadable as needed:
                key, found = shortened(prefix + name), shortened(repr(value))
                self.problems[prefix + name] = (
                    f"{key} must be {needed} · found {found}{needed.hint} · {needed.remedy}"
                )
        return read

    def read_value(self, value: Any, annotation: Any, key: str) -> Any:
        if value is None and is_optional(annotation):
            return None
        inner = required(annotation)
        if dataclasses.is_dataclass(inner):
            return self.read_dataclass(value, inner, f"{key}.")
        if get_origin(inner) is list:
            if not isinstance(value, list | tuple):
                raise _Unreadable("a list")
            return [self.read_value(item, get_args(inner)[0], key) for item in value]
        if get_origin(inner) is dict:
            return self._read_dict(value, get_args(inner)[1], key)
        return _read_scalar(value, inner)

    def _read_dict(self, value: Any, item: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _Unreadable("a mapping")
        if not dataclasses.is_dataclass(item):
            value = _flatten(value)
        # An entry that a recipe inherits is dropped with null, where null is no value of its own.
        named = {str(name): entry for name, entry in value.items() if entry is not None or is_optional(item)}
        return self._read_items(named, dict.fromkeys(named, item), f"{key}.")


def _flatten(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """One level of dotted names: `lr_multipliers.lora.vision=0.5` arrives as {lora: {vision: 0.5}}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= (
            _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
        )
    return flat


def _read_scalar(value: Any, annotation: Any) -> Any:
    if issubclass(annotation, Enum):
        # YAML turns an unquoted member such as `on` into a bool, so compare by its text.
        if str(value) in annotation.__members__:
            return annotation[str(value)]
        raise _Unreadable(f"one of {', '.join(annotation.__members__)}", _hint(value, annotation))
    if annotation is bool:
        return _read_bool(value)
    if annotation is str:
        if isinstance(value, str):
            return value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        raise _Unreadable("text", remedy="put it in quotes" if is_number else "correct the value")
    return _read_number(value, annotation)


def _hint(value: Any, annotation: type[Enum]) -> str:
    hint = did_you_mean(str(value), annotation.__members__)
    return hint if "did you mean" in hint else ""


def _read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Unreadable("true or false")


def _read_number(value: Any, annotation: type[int] | type[float]) -> int | float:
    """An int or a finite float; `5e12` is a whole number too, though YAML calls it a float or text."""
    needed = _Unreadable("a whole number" if annotation is int else "a number")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise needed
    try:
        number = value if isinstance(value, int) else float(value)
    except ValueError:
        raise needed from None
    if not abs(number) <= sys.float_info.max or (annotation is int and number != int(number)):
        raise needed
    return annotation(number)
