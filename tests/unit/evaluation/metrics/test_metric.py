"""Numbers are written as their metric says."""

import pytest

from phi4train.evaluation.metrics.metric import PERCENT, Form, overall_key

FINE = Form(digits=2, compared_digits=3)


@pytest.mark.parametrize(
    ("form", "shown", "compared"), [(PERCENT, "12.3 %", "12.3 %"), (FINE, "0.12", "0.123")]
)
def test_a_number_has_its_digits_alone_and_beside_another(form: Form, shown: str, compared: str) -> None:
    assert (form.shown(0.1234), form.compared(0.1234)) == (shown, compared)


@pytest.mark.parametrize(
    ("form", "difference", "written"),
    [
        *((PERCENT, -0.125, "-12.5"), (PERCENT, 0.0004, "+4e-02"), (PERCENT, 0.0005, "+0.1")),
        *((FINE, 1.5, "+1.500"), (FINE, -2e-9, "-2e-09"), (FINE, float("inf"), "+inf")),
    ],
)
def test_a_difference_is_signed_and_never_rounded_to_none(
    form: Form, difference: float, written: str
) -> None:
    assert form.difference(difference) == written


@pytest.mark.parametrize("key", ["eval/wer", "eval/wer/asr_a", "eval/wer/asr_a/de"])
def test_parts_of_a_quantity_stand_below_its_key(key: str) -> None:
    assert overall_key(key) == "eval/wer"
