"""Prints the tree of artifacts that an artifact descends from."""

from pathlib import Path

from phi4train.checkpoint.artifact import Artifact, Lineage, open_artifact
from phi4train.errors import CheckpointError
from phi4train.model.component_names import COMPONENT_NAMES


def lineage_text(path: Path) -> str:
    """The tree from an artifact (or a run folder that holds one) down to its roots, a block a stage."""
    folder = path / "artifact" if (path / "artifact").is_dir() else path
    return "\n".join(_describe(open_artifact(folder, needed_by="phi4train lineage"), first="", rest=""))


def _describe(artifact: Artifact, first: str, rest: str) -> list[str]:
    lineage = artifact.lineage
    lines = [f"{first}{lineage.stage}  {lineage.identity[:12]}  {artifact.path}"]
    bar = "│  " if lineage.parents else "   "
    components = ", ".join(f"{name} {digest[:12]}" for name, digest in lineage.components.items())
    code = ", ".join(f"{key} {value}" for key, value in lineage.code.items())
    lines += [
        f"{rest}{bar}holds  {components}",
        f"{rest}{bar}data   {lineage.recipe['data']['manifest']} {lineage.data_fingerprint[:12]}, "
        f"seed {lineage.recipe['seed']}",
        f"{rest}{bar}code   {code}",
    ]
    if lineage.initialised_from:
        given = ", ".join(_initial(lineage, name) for name in lineage.initialised_from)
        lines.append(f"{rest}{bar}init   {given}")
    if lineage.branched_from:
        begun = lineage.branched_from
        lines.append(f"{rest}{bar}branch from {begun['from']}")
    if lineage.results:
        lines.append(rest + bar + "result " + ", ".join(f"{k} {v:.4g}" for k, v in lineage.results.items()))
    for index, stage in enumerate(lineage.parents):
        is_last = index == len(lineage.parents) - 1
        branch, below = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        try:
            lines += _describe(artifact.parent(stage), first=rest + branch, rest=rest + below)
        except CheckpointError as error:
            lines.append(f"{rest}{branch}{stage}  missing: {error}")
    return lines


def _initial(lineage: Lineage, component: str) -> str:
    """`vision_encoder from 0123`, or `lora.speech from lora.vision of 0123` when it is a copy."""
    value, identity = lineage.recipe["init"][component], lineage.initialised_from[component][:12]
    return (
        f"{component} from {value} of {identity}"
        if value in COMPONENT_NAMES
        else f"{component} from {identity}"
    )
