"""Typos are found before Hydra sees them."""

import pytest

from phi4train.config.catalog import Catalog
from phi4train.config.load import load_config
from phi4train.config.overrides import check_overrides
from phi4train.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("stage=vision_stf", "stage must be an option of its group · found 'vision_stf' (did you mean 'vision_sft'?) · correct the name"),
        ("scale=dem", "scale must be an option of its group · found 'dem' (did you mean 'demo'?) · correct the name"),
        ("hardware=gpu", "hardware must be an option of its group · found 'gpu' (known: a100, auto) · correct the name"),
        ("lr=1", "lr must be a key of the configuration · found no such key · did you mean optimizer.lr?"),
        ("optimzer.lr=1", "optimzer.lr must be a key of the configuration · found no such key · did you mean optimizer.lr?"),
        ("budget.max_step=1", "budget.max_step must be a key of the configuration · found no such key · did you mean budget.max_steps?"),
        ("+new=1", "new must be a key of the configuration · found no such key · `--cfg job` prints all keys"),
        ("budget.max_steps=abc", "budget.max_steps must be a whole number · found 'abc' · correct the value"),
        ("budget.max_steps=1.5", "budget.max_steps must be a whole number · found 1.5 · correct the value"),
        ("optimizer.lr=nan", "optimizer.lr must be a number · found nan · correct the value"),
        ("trainable=language_model", "trainable must be a list · found 'language_model' · correct the value"),
        ("budget=3", "budget must be a section with keys of its own · found 3 · correct the value"),
        ("schedule.kind=cosin", "schedule.kind must be one of wsd, cosine, linear, constant · found 'cosin' (did you mean 'cosine'?) · correct the value"),
        ("seed=1,2", "seed must be one value · found 'seed=1,2' · add -m to try each, or write [a,b]"),
        ("a b", "an override must read key=value · found 'a b' · quote values with special characters"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_the_key_what_was_found_and_what_is_near(override: str, problem: str) -> None:
    assert check_overrides(["stage=lm_sft", override], Catalog()).problems == [problem]


def test_a_missing_stage_is_told_with_the_stages() -> None:
    problems = check_overrides(["scale=demo"], Catalog()).problems
    assert problems == [
        "stage must be chosen · found none · add stage=<one of "
        "lm_pretrain, lm_sft, audio_pretrain, audio_sft, vision_align, vision_pretrain, vision_sft, vision_multiframe, vision_speech>"
    ]


def test_every_value_of_a_sweep_is_judged() -> None:
    checked = check_overrides(
        ["stage=lm_sft,lm_stf", "optimizer.lr=1e-3,x", "seed=range(0,3)", "scale=glob(*)"],
        Catalog(),
        multirun=True,
    )
    assert checked.swept_keys == ["seed", "scale"]
    assert checked.problems == [
        "stage must be an option of its group · found 'lm_stf' (did you mean 'lm_sft'?) · correct the name",
        "optimizer.lr must be a number · found 'x' · correct the value",
    ]


def test_a_harmless_setting_of_hydra_and_interpolations_pass() -> None:
    overrides = [
        "stage=lm_sft",
        "hydra.verbose=true",
        "optimizer.lr=${optimizer.eps}",
    ]
    assert check_overrides(overrides, Catalog()).problems == []
    assert load_config(["stage=lm_sft", "optimizer.lr=${optimizer.eps}"]).optimizer.lr == 1e-8


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(
            ["stage=lm_sft", "lr=1", "budget.max_steps=x", "data.manifest=nope", "trainable=[langage_model]"]
        )
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for part in ("optimizer.lr?", "budget.max_steps", "found no 'nope'", "did you mean 'language_model'?"):
        assert part in text


@pytest.mark.parametrize("typed", ["2026_01", "1.10", "12345e7", "007", "1e400", "0x1F"])
def test_text_stays_as_it_was_typed(typed: str) -> None:
    config = load_config(["stage=lm_sft", f"run.name={typed}", f"run.parents.lm_pretrain={typed}"])
    assert config.run.name == typed and config.run.parents == {"lm_pretrain": typed}


def test_text_of_a_sweep_stays_as_it_was_typed_and_numbers_are_numbers() -> None:
    overrides = ["stage=lm_sft", "run.name=1.10,b,2026_01", "optimizer.lr=1e-3", "run.data_root=null"]
    checked = check_overrides(overrides, Catalog(), multirun=True)
    assert list(checked.accepted.values())[1:] == ["run.name='1.10',b,'2026_01'", "optimizer.lr=1e-3"]
    assert checked.problems == ["run.data_root must be text · found None · correct the value"]
