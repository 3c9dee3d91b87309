"""The tiny curriculum gives the losses, artifacts and metrics of the golden file."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum
from tests.regression.golden.measured import GOLDEN_FILE, machine_kind, measured_stages
from tests.stage_workspace import Workspace

GOLDEN: dict[str, Any] = json.loads(GOLDEN_FILE.read_text())
STAGES = load_curriculum(DEFAULT_CURRICULUM).stages
TOLERANCE = 1e-5


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of nested mappings and lists, under a name that tells where it stands."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from numbers(part, f"{name}.{key}")
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from numbers(part, f"{name}[{position}]")
    elif isinstance(value, int | float):
        yield name, value


def test_the_golden_file_holds_every_stage_with_two_steps_or_more() -> None:
    assert list(GOLDEN["stages"]) == list(STAGES)
    assert all(len(stage["steps"]) >= 2 for stage in GOLDEN["stages"].values())


@pytest.mark.parametrize("stage", STAGES)
def test_losses_and_identities_are_the_golden_ones_to_the_last_bit(trained: Workspace, stage: str) -> None:
    if machine_kind() != GOLDEN["machine"]:
        pytest.skip(f"another kind of machine, {machine_kind()} instead of {GOLDEN['machine']}: held to 1e-5")
    assert measured_stages(trained)[stage] == GOLDEN["stages"][stage]


@pytest.mark.parametrize("stage", STAGES)
def test_losses_and_perplexities_are_the_golden_ones_on_any_machine(trained: Workspace, stage: str) -> None:
    found, golden = measured_stages(trained)[stage], GOLDEN["stages"][stage]
    assert [list(step) for step in found["steps"]] == [list(step) for step in golden["steps"]]
    assert dict(numbers(found["steps"])) == pytest.approx(dict(numbers(golden["steps"])), rel=TOLERANCE)
    losses = {
        key: value for key, value in golden["results"].items() if key in ("eval/loss", "eval/perplexity")
    }
    assert losses
    assert {key: found["results"][key] for key in losses} == pytest.approx(losses, rel=TOLERANCE)
