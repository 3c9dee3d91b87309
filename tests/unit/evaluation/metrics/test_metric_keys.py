"""Names of what is measured: each once, parts below their whole, and each with a direction."""

import pytest
from phi4train.evaluation.metrics.metric_keys import (
    IS_LOWER_BETTER,
    is_lower_better,
    is_model_metric,
    overall_name,
)

from phi4train.evaluation.metrics import metric_keys

KEYS = {name: value for name, value in vars(metric_keys).items() if name.isupper() and isinstance(value, str)}
WHOLES = {name: value for name, value in KEYS.items() if "_PER_" not in name}


def test_no_two_metrics_share_a_name() -> None:
    assert len(set(KEYS.values())) == len(KEYS)
    assert all(value.startswith("eval/") for value in KEYS.values())


@pytest.mark.parametrize("name", [name for name in KEYS if "_PER_" in name])
def test_a_part_lies_below_its_whole_and_improves_the_same_way(name: str) -> None:
    whole = KEYS[name.split("_PER_")[0]]
    part = KEYS[name].format(task="asr_de", language="de")
    assert overall_name(part) == overall_name(whole) == whole
    assert is_model_metric(part) and is_lower_better(part) == IS_LOWER_BETTER[whole]


def test_every_whole_has_a_direction_but_for_baselines_and_counts() -> None:
    assert WHOLES.values() - IS_LOWER_BETTER.keys() == {
        metric_keys.BASELINE_PERPLEXITY,
        metric_keys.SKIPPED_SAMPLES,
    }
    assert not is_model_metric(metric_keys.BASELINE_PERPLEXITY.format(scorer="bigram"))
    assert not is_model_metric(metric_keys.SKIPPED_SAMPLES)
