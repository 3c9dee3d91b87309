"""Names of metrics: each once, and in a group of its own."""

import re

from phi4train.training.watching import metric_keys

KEYS = {name: value for name, value in vars(metric_keys).items() if name.isupper()}


def test_no_two_metrics_share_a_name() -> None:
    assert len(set(KEYS.values())) == len(KEYS)


def test_every_metric_but_the_step_is_in_a_group() -> None:
    groups = {value.split("/")[0] for value in KEYS.values() if value != metric_keys.STEP}
    assert groups == {"train", "optim", "data", "throughput", "memory"}
    assert all(re.fullmatch(r"\w+/[\w/{}]+", value) for value in KEYS.values() if value != metric_keys.STEP)


def test_a_part_of_a_metric_lies_below_it() -> None:
    assert metric_keys.LOSS_PER_TASK.format(task="x") == f"{metric_keys.LOSS}/x"
    assert metric_keys.GRAD_NORM_PER_COMPONENT.format(component="x") == f"{metric_keys.GRAD_NORM}/x"
    assert metric_keys.AUXILIARY_LOSS.format(name="ctc") != metric_keys.LOSS
