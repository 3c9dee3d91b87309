"""Manifests: a data mixture as YAML, parsed and checked without reading a shard (no torch, no numpy here).

name: demo_vision
description: Photos and digits with questions.
weight_by: samples            # or tokens: what the weights are shares of
build: phi4train data build demo   # optional: the command that makes the shards
sources:
  - name: digits
    shards: ["demo/digits-{000000..000003}.tar"]   # globs, braces, URLs; relative to data_root
    weight: 2.0
    licence: CC-BY-4.0
    split: train               # optional, for the reader
    num_samples: 4000          # optional: checked against the index
    max_audio_seconds: 30      # optional: longer clips of this source are left out
"""

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from phi4train.data.commands import BY_NAME_ALONE, Asked, build_command
from phi4train.data.shards.braces import expand_braces, require_few_shards
from phi4train.errors import ManifestError, did_you_mean, few
from phi4train.yaml_files import parse_yaml, yaml_problem

URL_SCHEMES = ("http", "https", "s3", "gs")
"""Remote shards may come from these; `pipe:` and whatever else fsspec knows are refused."""

_MANIFEST_KEYS = ("name", "description", "weight_by", "build", "sources")
_SOURCE_KEYS = ("name", "shards", "weight", "licence", "split", "num_samples", "max_audio_seconds")
_WEIGHT_BY = ("samples", "tokens")
_MAX_PATTERN = 4096
_ALL_SHARDS = "the shards of all sources"


@dataclass(frozen=True)
class Source:
    """One part of a mixture.

    Args:
        shards: patterns as written: paths relative to data_root or URLs, with globs and braces.
        weight: relative share of samples or tokens; the weights need not sum to one.
        num_samples: expected number of samples over all shards, or None when the manifest does not say.
        max_audio_seconds: longest audio clip, if the source has a limit below that of the recipe.
    """

    name: str
    shards: tuple[str, ...]
    weight: float
    licence: str
    split: str | None = None
    num_samples: int | None = None
    max_audio_seconds: float | None = None


@dataclass(frozen=True)
class Manifest:
    """A data mixture.

    Args:
        weight_by: whether weights are shares of `samples` or of `tokens`.
        build: command that makes missing shards, or None.
        path: the file it came from.
        reference: what it was loaded by, a name or the file: how commands call it.
        asked: what else it was asked for with.
    """

    name: str
    description: str
    weight_by: str
    sources: tuple[Source, ...]
    build: str | None
    path: Path
    reference: str
    asked: Asked


@dataclass(frozen=True)
class ShardRef:
    """A shard that a manifest names.

    Args:
        name: as the manifest writes it, braces and globs expanded.
        location: path or URL to read it from.
    """

    name: str
    location: str


def is_url(location: str, key: str = "a remote shard") -> bool:
    """Whether a shard is remote. Raises ManifestError, which begins with `key`, for a scheme not allowed."""
    if "://" not in location and not location.startswith("pipe:"):
        return False
    scheme = location.partition(":")[0].lower()
    if scheme not in URL_SCHEMES:
        raise ManifestError(
            f"{key} must start with one of {', '.join(URL_SCHEMES)} · found '{location}' · "
            "copy the shard to disk or to such a store"
        )
    return True


def load_manifest(name: str, manifest_dirs: Sequence[Path], asked: Asked = BY_NAME_ALONE) -> Manifest:
    """The manifest `<name>.yaml` from the first of `manifest_dirs` that has it, or in a .yaml file.

    Args:
        asked: what commands that messages name must repeat besides the name.

    Raises:
        ManifestError: there is none, or it does not hold; lists every problem.
    """
    path = _find_manifest(name, manifest_dirs)
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found = yaml_problem(error) if isinstance(error, yaml.YAMLError) else error
        raise ManifestError(
            f"manifest {path} must be readable YAML · found {found} · mend the file"
        ) from error
    problems: list[str] = []
    manifest = _parse_manifest(content, path, name, asked, problems)
    if problems or manifest is None:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ManifestError(
            f"every key of manifest {path} must hold · found {len(problems)} wrong · mend each:\n{listed}"
        )
    return manifest


def expand_shards(source: Source, manifest: Manifest, data_root: Path) -> tuple[ShardRef, ...]:
    """The shards of a source, in the order of its patterns, globs sorted.

    Raises:
        ManifestError: a shard is missing, named twice, or a URL's scheme is not allowed.
    """
    refs: list[ShardRef] = []
    missing: list[str] = []
    for pattern in source.shards:
        for name in expand_braces(pattern):
            try:
                found = _expand_name(name, data_root)
            except (OSError, ValueError) as error:  # too long, not permitted, or no pattern of pathlib
                raise ManifestError(
                    f"manifest {manifest.name}, source {source.name}: a shard's path must be one that can be "
                    f"looked up · found '{name:.80}': {error!s:.200} · mend it, or its permissions"
                ) from error
            refs += found
            if not found:
                missing.append(name)
    twice = _named_twice(refs)
    if missing:
        remedy = "check the paths and data_root"
        if manifest.build:
            remedy = f"run `{build_command(manifest.build, data_root)}`"
        raise ManifestError(
            f"manifest {manifest.name}, source {source.name}: every shard must exist in {data_root} · "
            f"found no {', '.join(few(missing))} · {remedy}"
        )
    if twice:
        raise ManifestError(
            f"manifest {manifest.name}, source {source.name}: a shard must be named once · "
            f"found more than once {', '.join(few(twice))} · mend the patterns"
        )
    return tuple(refs)


def _find_manifest(name: str, manifest_dirs: Sequence[Path]) -> Path:
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if path.is_file():
            return path
        raise ManifestError(f"a manifest must be a file · found none at {path} · check the path")
    for folder in manifest_dirs:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    known = [path.stem for folder in manifest_dirs if folder.is_dir() for path in folder.glob("*.yaml")]
    raise ManifestError(
        f"a manifest must be data_manifests/<name>.yaml or a path to a .yaml file · "
        f"found no '{name}'{did_you_mean(name, known)} · check the name"
    )


def _parse_manifest(
    content: Any, path: Path, reference: str, asked: Asked, problems: list[str]
) -> Manifest | None:
    if not isinstance(content, dict):
        problems.append(
            f"a manifest must be a mapping · found {type(content).__name__} · write at least name, "
            "description and sources"
        )
        return None
    _report_unknown(content, _MANIFEST_KEYS, "", problems)
    weight_by = content.get("weight_by", "samples")
    if weight_by not in _WEIGHT_BY:
        problems.append(
            f"weight_by must be samples or tokens · found {weight_by!r:.80} · choose one of the two"
        )
    values = content.get("sources")
    if not isinstance(values, list) or not values:
        problems.append(
            f"sources must be a list of at least one source · found {values!r:.80} · add a source"
        )
        values = []
    sources = [_parse_source(value, f"sources[{i}]", problems) for i, value in enumerate(values)]
    names = [source.name for source in sources]
    problems += [
        f"source names must be unique · found '{name:.80}' {number} times · rename all but one"
        for name, number in sorted(Counter(names).items())
        if number > 1
    ]
    if not problems:
        patterns = [shard for source in sources for shard in source.shards]
        problems += _shard_problems(patterns, _ALL_SHARDS)
    if sources and not any(source.weight > 0 for source in sources):
        problems.append("at least one source must have a positive weight · found none · raise a weight")
    return Manifest(
        name=_text(content, "name", "", problems),
        description=_text(content, "description", "", problems),
        weight_by=str(weight_by),
        sources=tuple(sources),
        build=_text(content, "build", "", problems) if "build" in content else None,
        path=path,
        reference=reference,
        asked=asked,
    )


def _parse_source(value: Any, where: str, problems: list[str]) -> Source:
    if not isinstance(value, dict):
        problems.append(
            f"{where} must be a mapping · found {type(value).__name__} · write at least name, shards, weight "
            "and licence"
        )
        return Source("?", (), 1.0, "?")
    prefix = f"{where}."
    _report_unknown(value, _SOURCE_KEYS, prefix, problems)
    shards = value.get("shards")
    shards = [shards] if isinstance(shards, str) else shards
    if not isinstance(shards, list) or not shards or not all(isinstance(shard, str) for shard in shards):
        problems.append(
            f"{prefix}shards must be a list of at least one path, pattern or URL · found {shards!r:.80} · "
            "name a shard"
        )
        shards = []
    problems += _shard_problems(shards, f"{prefix}shards")
    return Source(
        name=_text(value, "name", prefix, problems),
        shards=tuple(shards),
        weight=_weight(value, prefix, problems),
        licence=_text(value, "licence", prefix, problems),
        split=_text(value, "split", prefix, problems) if "split" in value else None,
        num_samples=_num_samples(value, prefix, problems),
        max_audio_seconds=(
            _max_audio_seconds(value, prefix, problems) if "max_audio_seconds" in value else None
        ),
    )


def _shard_problems(shards: Sequence[str], key: str) -> list[str]:
    """What is wrong with the patterns of a source."""
    long = [shard for shard in shards if len(shard) > _MAX_PATTERN]
    if long:
        return [
            f"{key} must have at most {_MAX_PATTERN:,} characters each · found {len(long[0]):,} in "
            f"'{long[0]:.80}' · shorten it, or list several"
        ]
    problems = []
    try:
        for shard in shards:
            is_url(shard, f"{key}, where remote,")
        require_few_shards(shards, key)
    except ManifestError as error:
        problems.append(str(error))
    return problems


def _report_unknown(value: Mapping[Any, Any], known: Sequence[str], prefix: str, problems: list[str]) -> None:
    for key in value:
        if key not in known:
            name = f"{key!s:.80}"
            hint = did_you_mean(name, known)
            problems.append(
                f"{prefix}{name} must be a key of a manifest · found no such key{hint} · rename or remove it"
            )


def _text(value: Mapping[str, Any], key: str, prefix: str, problems: list[str]) -> str:
    found = value.get(key)
    if isinstance(found, str) and found:
        return found
    problems.append(f"{prefix}{key} must be a text · found {found!r:.80} · write one, in quotes if need be")
    return "?"


def _weight(value: Mapping[str, Any], prefix: str, problems: list[str]) -> float:
    weight = _finite(value.get("weight"))
    if weight is not None and weight >= 0:
        return weight
    problems.append(
        f"{prefix}weight must be a number, zero or more · found {value.get('weight')!r:.80} · correct it"
    )
    return 0.0


def _finite(value: Any) -> float | None:
    """A number as a float; None where it is none, or one that no float holds."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= sys.float_info.max:
        return None
    return float(value)


def _num_samples(value: Mapping[str, Any], prefix: str, problems: list[str]) -> int | None:
    number = value.get("num_samples")
    if number is None or (isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**63):
        return number
    problems.append(
        f"{prefix}num_samples must be a positive integer · found {number!r:.80} · correct it, or leave it out"
    )
    return None


def _max_audio_seconds(value: Mapping[str, Any], prefix: str, problems: list[str]) -> float | None:
    seconds = _finite(value["max_audio_seconds"])
    if seconds is not None and seconds > 0:
        return seconds
    problems.append(
        f"{prefix}max_audio_seconds must be a number above zero · found {value['max_audio_seconds']!r:.80} · "
        "correct it, or leave it out"
    )
    return None


def _named_twice(refs: Sequence[ShardRef]) -> list[str]:
    """Names of shards that lead to one place, however they are written."""
    places = [ref.location if is_url(ref.location) else os.path.realpath(ref.location) for ref in refs]
    number = Counter(places)
    return sorted({ref.name for ref, place in zip(refs, places, strict=True) if number[place] > 1})


def _expand_name(name: str, data_root: Path) -> list[ShardRef]:
    if is_url(name):
        return [ShardRef(name, name)]
    path = Path(name)
    root = Path(path.anchor) if path.is_absolute() else data_root
    if not any(sign in name for sign in "*?["):
        location = data_root / path  # an absolute path stays as it is
        return [ShardRef(name, str(location))] if location.is_file() else []
    pattern = path.relative_to(path.anchor) if path.is_absolute() else path
    found = [p for p in sorted(root.glob(str(pattern))) if p.is_file() and not _is_hidden(p, root, pattern)]
    return [ShardRef(str(p if path.is_absolute() else p.relative_to(root)), str(p)) for p in found]


def _is_hidden(path: Path, root: Path, pattern: Path) -> bool:
    """Whether a part of a path begins with a dot that the pattern does not write, as `*` in a shell."""
    with_dot = [part for part in pattern.parts if part.startswith(".")]
    return any(
        part.startswith(".") and not any(fnmatchcase(part, known) for known in with_dot)
        for part in path.relative_to(root).parts
    )
