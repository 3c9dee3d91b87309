import sys
from types import SimpleNamespace
from typing import Any

import pytest

from phi4train.training.watching.wandb_sink import wandb_sink


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What is called on a stand-in for the service."""
    seen: list[tuple[str, Any]] = []
    run = SimpleNamespace(
        define_metric=lambda *args, **kwargs: None,
        log=lambda metrics: seen.append(("log", metrics)),
        finish=lambda exit_code=0: seen.append(("finish", exit_code)),
    )

    def init(**options: Any) -> SimpleNamespace:
        seen.append(("init", options["id"]))
        return run

    module = SimpleNamespace(init=init, Settings=lambda **options: options)
    monkeypatch.setitem(sys.modules, "wandb", module)  # type: ignore[arg-type]
    return seen


def test_each_stage_opens_and_finishes_its_own_run(calls: list[tuple[str, Any]]) -> None:
    for run_id in ("a", "b"):
        with wandb_sink("project", "stage/demo", run_id, {}) as sink:
            sink({"loss": 1.0})
    assert calls == [
        ("init", run_id) if what == "init" else (what, value)
        for run_id in ("a", "b")
        for what, value in (("init", None), ("log", {"loss": 1.0}), ("finish", 0))
    ]


def test_a_run_that_fails_is_finished_as_failed(calls: list[tuple[str, Any]]) -> None:
    with pytest.raises(KeyboardInterrupt), wandb_sink("project", "stage/demo", "a", {}):
        raise KeyboardInterrupt
    assert calls[-1] == ("finish", 1)
