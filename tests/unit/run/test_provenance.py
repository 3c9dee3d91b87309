"""An artifact says which code made it, and says no more where there is no checkout."""

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import phi4train
from phi4train.run import provenance
from phi4train.run.provenance import code_provenance

VERSIONS = {"version": phi4train.__version__, "torch": torch.__version__}


def test_a_checkout_adds_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def describe(command: list[str], **_: Any) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(stdout="0123456789ab-dirty\n")

    monkeypatch.setattr(provenance.subprocess, "run", describe)
    assert code_provenance() == {**VERSIONS, "commit": "0123456789ab-dirty"}
    assert "--dirty" in asked[0], "changes that are not committed must show"


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("git"),
        subprocess.CalledProcessError(128, "git"),
        subprocess.TimeoutExpired("git", 10),
    ],
    ids=lambda error: type(error).__name__,
)
def test_without_git_or_a_checkout_the_versions_remain(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(provenance.subprocess, "run", fail)
    assert code_provenance() == VERSIONS
