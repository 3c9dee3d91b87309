from collections.abc import Callable
from dataclasses import replace

import pytest

from phi4train.config.schema import ScheduleKind
from phi4train.model.components import build_model
from phi4train.model.phi4 import Phi4Model
from phi4train.run.schedule import Schedule
from phi4train.training.module import StageModule
from tests.unit.training.tiny_training import ADAMW, SHAPE, build_module


@pytest.fixture
def make_module() -> Callable[..., StageModule]:
    """Builds a module on a tiny fresh model, outside of a Trainer."""

    def make(
        components: tuple[str, ...] = ("language_model",),
        trainable: tuple[str, ...] = ("language_model",),
        max_bad_steps: int = 3,
        clip: float = 1.0,
        weight_decay: float = 0.1,
    ) -> StageModule:
        model: Phi4Model = build_model(SHAPE, components, seed=0)
        schedule = Schedule(1e-2, 20, ScheduleKind.cosine, 2, 0.1, 0.0)
        settings = replace(ADAMW, weight_decay=weight_decay)
        return build_module(model, trainable, settings, schedule, clip, max_bad_steps)

    return make
