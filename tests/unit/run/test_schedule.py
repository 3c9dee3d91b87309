import pytest

from phi4train.config.schema import ScheduleKind
from phi4train.run.schedule import Schedule, lr_law


def schedule(kind: ScheduleKind, warmup_steps: int = 10, min_lr_fraction: float = 0.0) -> Schedule:
    return Schedule(1e-3, 100, kind, warmup_steps, decay_fraction=0.2, min_lr_fraction=min_lr_fraction)


@pytest.mark.parametrize("kind", list(ScheduleKind))
def test_warmup_is_linear_and_already_moves_at_step_zero(kind: ScheduleKind) -> None:
    rates = [schedule(kind).lr(step) for step in range(10)]
    assert rates == pytest.approx([1e-4 * (step + 1) for step in range(10)])


def test_wsd_is_flat_and_then_falls_in_a_line_to_the_end() -> None:
    rates = [schedule(ScheduleKind.wsd).lr(step) for step in range(101)]
    assert rates[10:81] == pytest.approx([1e-3] * 71)
    assert rates[90] == pytest.approx(5e-4)
    assert rates[100] == 0


def test_cosine_passes_half_the_peak_in_the_middle_and_ends_at_the_minimum() -> None:
    cosine = schedule(ScheduleKind.cosine, min_lr_fraction=0.1)
    assert cosine.lr(55) == pytest.approx(1e-3 * (0.1 + 0.9 * 0.5))
    assert cosine.lr(100) == pytest.approx(1e-4)


def test_linear_falls_evenly_and_constant_stays() -> None:
    assert schedule(ScheduleKind.linear).lr(55) == pytest.approx(5e-4)
    assert schedule(ScheduleKind.constant).lr(99) == 1e-3


@pytest.mark.parametrize(
    ("billions", "expected"),
    [(12.5, 5.07e-4), (25, 4.06e-4), (37.5, 3.57e-4), (50, 3.25e-4), (5000, 7.45e-5)],
)
def test_the_law_gives_the_published_test_vector(billions: float, expected: float) -> None:
    # C = 1.55e-3 with N = 3.84 and D in billions (arXiv 2409.19913): B = C * N^-0.23.
    assert lr_law(1.55e-3 * 3.84**-0.23, 0.32, billions * 1e9, 1e9) == pytest.approx(expected, rel=5e-3)
