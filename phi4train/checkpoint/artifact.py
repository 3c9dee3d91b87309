"""Artifacts: the components that a finished stage trained or introduced; its lineage names all others.

An artifact's identity is a hash over its stage, its tensors and its parents' identities, so that the same
training gives the same identity on any day and machine.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from phi4train.checkpoint.finiteness import find_non_finite
from phi4train.checkpoint.store import FILES_NAME, find_damage, read_document, read_tensors, write_folder
from phi4train.errors import CheckpointError, NonFiniteError, few

LINEAGE_NAME = "lineage"
FORMAT = 1

_MENDING = "restore it from a copy, or set the artifact aside and train its stage again"
"""What to do about damage; nothing is deleted, since other artifacts may descend from it."""


@dataclass(frozen=True)
class Lineage:
    """Where an artifact comes from.

    Args:
        identity: hash of stage, tensors and parents' identities.
        stage: stage that made it.
        components: sha256 of the tensors of each component it holds.
        parents: identity of each parent artifact by stage.
        parent_paths: where each parent was, relative to this artifact's folder.
        recipe: science part of the resolved configuration.
        data_fingerprint: hash of the data it learned from.
        code: version and commit of the code.
        results: final metrics.
        initialised_from: identity of the artifact that `init` took a component from, by component; the recipe
            tells of which other component it is a copy, if it is one.
        branched_from: the checkpoint of another run that this one began with, as `run.branch` records it;
            empty: it began with step 0.
    """

    identity: str
    stage: str
    components: Mapping[str, str]
    parents: Mapping[str, str]
    parent_paths: Mapping[str, str]
    recipe: Mapping[str, Any]
    data_fingerprint: str
    code: Mapping[str, str]
    results: Mapping[str, float]
    initialised_from: Mapping[str, str] = field(default_factory=dict)
    branched_from: Mapping[str, Any] = field(default_factory=dict)

    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of all that the stage was trained from, as `StageInputs` gives them."""
        return named_fingerprints(self.data_fingerprint, self.parents, self.initialised_from)


def named_fingerprints(
    data_fingerprint: str, parents: Mapping[str, str], initialised_from: Mapping[str, str]
) -> dict[str, str]:
    """Fingerprints of a stage's data, parents and given components under the names that messages use."""
    return {
        "data": data_fingerprint,
        **{f"parent {stage}": identity for stage, identity in parents.items()},
        **{f"init.{component}": identity for component, identity in initialised_from.items()},
    }


@dataclass(frozen=True)
class Artifact:
    """An artifact on disk."""

    path: Path
    lineage: Lineage

    def parent(self, stage: str) -> "Artifact":
        """The parent artifact that `stage` made, also when its run or this one has been set aside since.

        Raises:
            CheckpointError: it is gone, or another one is in its place.
        """
        identity = self.lineage.parents[stage]
        for path in self._places_of(stage):
            try:
                parent = open_artifact(path, needed_by=str(self.path))
            except CheckpointError:
                continue
            if parent.lineage.identity == identity:
                return parent
        path = next(self._places_of(stage))
        found = open_artifact(path, needed_by=str(self.path))
        raise CheckpointError(
            f"the parent `{stage}` of {self.path} must be artifact {identity[:12]} · "
            f"found {found.lineage.identity[:12]} in {path} · "
            f"put the old artifact back, or train `{self.lineage.stage}` again from this one"
        )

    def _places_of(self, stage: str) -> Iterator[Path]:
        """Where a parent may be: where it was, set aside beside it, and both for a run set aside itself."""
        for start in (self.path, self.path.parent):
            path = (start / self.lineage.parent_paths[stage]).resolve()
            yield path
            yield from sorted(path.parent.glob(f"previous-*/{path.name}"))


def hash_tensors(state: Mapping[str, Tensor]) -> str:
    """Hex sha256 over names, dtypes, shapes and bytes of tensors, in order of name."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_artifact(
    path: Path,
    components: Mapping[str, Mapping[str, Tensor]],
    *,
    stage: str,
    parents: Mapping[str, Artifact],
    recipe: Mapping[str, Any],
    data_fingerprint: str,
    code: Mapping[str, str],
    results: Mapping[str, float],
    initialised_from: Mapping[str, str] | None = None,
    branched_from: Mapping[str, Any] | None = None,
) -> Artifact:
    """Publishes the trained components with their lineage, atomically, and reads them back.

    Raises:
        NonFiniteError: a tensor holds numbers that are not finite; nothing was written.
        CheckpointError: it could not be written, or does not read back as it was in memory.
    """
    found = find_non_finite(
        {f"{name}/{key}": tensor for name, state in components.items() for key, tensor in state.items()}
    )
    if found is not None:
        raise NonFiniteError(
            f"the tensors of the artifact {path} must be finite · found {found} · lower optimizer.lr, or "
            "look at the last steps in metrics.jsonl, and train the stage again; nothing was published"
        )
    hashes = {name: hash_tensors(state) for name, state in components.items()}
    parent_identities = {name: parent.lineage.identity for name, parent in parents.items()}
    identity = hashlib.sha256(
        json.dumps([stage, hashes, parent_identities], sort_keys=True).encode()
    ).hexdigest()
    lineage = Lineage(
        identity=identity,
        stage=stage,
        components=hashes,
        parents=parent_identities,
        parent_paths={name: _relative(parent.path, path) for name, parent in parents.items()},
        recipe=recipe,
        data_fingerprint=data_fingerprint,
        code=code,
        results=results,
        initialised_from=initialised_from or {},
        branched_from=branched_from or {},
    )
    write_folder(path, tensors=components, documents={LINEAGE_NAME: {"format": FORMAT, **vars(lineage)}})
    artifact = open_artifact(path, needed_by="the stage that has just written it")
    for name, expected in hashes.items():
        if hash_tensors(read_tensors(path, name)) != expected:
            raise CheckpointError(
                f"{path}/{name}.safetensors must read back as it was written · found other tensors · "
                "check the disk, set the artifact aside and go on with resume=auto; checkpoints are untouched"
            )
    return artifact


def artifact_in(path: Path) -> Path:
    """The artifact folder that a path means: itself, or the one in a run folder."""
    inner = path / "artifact"
    return inner if inner.is_dir() and not (path / f"{LINEAGE_NAME}.json").exists() else path


def open_artifact(path: Path, needed_by: str) -> Artifact:
    """Opens an artifact folder, or that of a run folder; hashes of tensors are checked when they are loaded.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    path = artifact_in(path)
    if not path.is_dir():
        raise CheckpointError(
            f"the artifact that {needed_by} needs must exist · found none at {path} · "
            "correct the path, put the artifact back, or train its stage"
        )
    if not any((path / name).exists() for name in (FILES_NAME, f"{LINEAGE_NAME}.json")):
        raise CheckpointError(
            f"the artifact that {needed_by} needs must be a folder that a stage has published, or its run "
            f"folder · found neither in {path}, which holds {_held_by(path)} · correct the path"
        )
    damage = find_damage(path, hash_tensor_files=False)
    if damage is not None:
        raise CheckpointError(f"the artifact {path} must be complete · found that {damage} · {_MENDING}")
    return Artifact(path=path, lineage=_read_lineage(path))


def _held_by(path: Path) -> str:
    """What is in a folder, for whoever took it for another."""
    return ", ".join(few(sorted(entry.name for entry in path.iterdir()), 3)) or "nothing"


def _read_lineage(path: Path) -> Lineage:
    document = read_document(path, LINEAGE_NAME)
    found = document.pop("format", None)
    if found != FORMAT:
        raise CheckpointError(
            f"the artifact {path} must be of format {FORMAT} · found {found} · "
            "use the version of phi4train that wrote it, or set it aside and train its stage again"
        )
    known = {f.name for f in fields(Lineage)}
    needed = {f.name for f in fields(Lineage) if f.default_factory is MISSING}
    wrong = sorted(needed - document.keys()) + sorted(document.keys() - known)
    if wrong:
        raise CheckpointError(
            f"{path / LINEAGE_NAME}.json must hold the fields of a lineage · found {', '.join(wrong)} "
            "missing or unknown · put the artifact's own file back, or set the artifact aside and train its "
            "stage again"
        )
    return Lineage(**document)


def find_component(artifacts: Mapping[str, Artifact], component: str) -> Artifact | None:
    """The nearest artifact, among `artifacts` and their ancestors, that holds a component.

    Raises:
        CheckpointError: two branches hold different versions of it.
    """
    found: dict[str, Artifact] = {}
    for artifact in artifacts.values():
        if component in artifact.lineage.components:
            holder: Artifact | None = artifact
        else:
            holder = find_component({s: artifact.parent(s) for s in artifact.lineage.parents}, component)
        if holder is not None:
            found[holder.lineage.components[component]] = holder
    if len(found) > 1:
        places = " and ".join(str(a.path) for a in found.values())
        raise CheckpointError(
            f"the parents must agree on the component {component} · found different versions in {places} · "
            "train them from one common ancestor"
        )
    return next(iter(found.values()), None)


def all_components(artifacts: Mapping[str, Artifact]) -> set[str]:
    """Names of all components that the artifacts and their ancestors hold."""
    names: set[str] = set()
    for artifact in artifacts.values():
        names |= set(artifact.lineage.components)
        names |= all_components({stage: artifact.parent(stage) for stage in artifact.lineage.parents})
    return names


def load_component(artifact: Artifact, component: str) -> dict[str, Tensor]:
    """Tensors of a component that the artifact itself holds, finite and as the lineage's hash says.

    Raises:
        CheckpointError: they cannot be read, are others, or are not finite.
    """
    state = read_tensors(artifact.path, component)
    if hash_tensors(state) != artifact.lineage.components[component]:
        raise CheckpointError(
            f"{artifact.path}/{component}.safetensors must match the hash in its lineage · found other "
            f"tensors · {_MENDING}"
        )
    found = find_non_finite(state)
    if found is not None:
        raise CheckpointError(
            f"{artifact.path}/{component}.safetensors must hold finite numbers only · found {found} · "
            f"{_MENDING}"
        )
    return state


def _relative(target: Path, start: Path) -> str:
    return str(Path(os.path.relpath(target.resolve(), start.resolve())))
