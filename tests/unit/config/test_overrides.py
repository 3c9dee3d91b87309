"""Typos are found before Hydra sees them."""

import pytest

from phi4train.config.catalog import Catalog
from phi4train.config.convert import KNOWN_ELSEWHERE_AS, is_known_key, unknown_key
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


def test_values_of_a_sweep_are_left_to_its_trials() -> None:
    words = [
        "stage=lm_sft,lm_stf",
        "optimizer.lr=1e-3,x",
        "seed=range(0,3)",
        "scale=glob(*)",
        "data.max_crops=2",
    ]
    checked = check_overrides(words, Catalog(), multirun=True)
    assert list(checked.swept) == words[:4]
    assert checked.problems == []


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("d (1)", "d (1)"),
        ("it's", "it's"),
        ("a=b", "a=b"),
        ("~/x", "~/x"),
        ("a#b", "a#b"),
        ("x [y], z", "x [y], z"),
    ],
)
def test_text_that_hydra_cannot_read_is_taken_as_it_was_typed(typed: str, value: str) -> None:
    config = load_config(["stage=lm_sft", f"run.data_root={typed}", f"run.parents.lm_pretrain={typed}"])
    assert config.run.data_root == value and config.run.parents == {"lm_pretrain": value}


@pytest.mark.parametrize(
    "word", ["run.data_root='a", 'run.data_root="a', "run.data_root=${a", "optimizer.lr=it's"]
)
def test_other_words_that_hydra_cannot_read_are_refused(word: str) -> None:
    (problem,) = check_overrides(["stage=lm_sft", word], Catalog()).problems
    assert problem.startswith("an override must read key=value · found ")


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("[1.10]", ["1.10"]),
        ("[a, 2026_01,b]", ["a", "2026_01", "b"]),
        ("['1.10',b]", ["1.10", "b"]),
        ("[]", []),
    ],
)
def test_items_of_a_list_of_texts_stay_as_they_were_typed(typed: str, read: list[str]) -> None:
    checked = check_overrides(["stage=lm_sft", f"auxiliary.ctc_tasks={typed}"], Catalog())
    assert checked.problems == []
    assert load_config(["stage=lm_sft", f"auxiliary.ctc_tasks={typed}"]).auxiliary.ctc_tasks == read


def test_a_number_among_texts_that_only_quotes_could_tell_is_refused() -> None:
    (problem,) = check_overrides(["stage=lm_sft", "trainable=['a',1.10]"], Catalog()).problems
    assert problem == "trainable must be text · found ['a', 1.1] · put it in quotes"


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("trainable=" + "[" * 2000 + "]" * 1, "an override must open at most 20 brackets"),
        ("init=" + "{a:" * 500 + "1" + "}" * 500, "an override must open at most 20 brackets"),
        ("trainable=[" + "x," * 60_000 + "x]", "an override must have at most 4,000 characters · found 120,013 in"),
        ("a." * 1500 + "b=1", "must be a key of the configuration"),
    ],
    ids=["lists", "mappings", "long", "keys"],
)  # fmt: skip
def test_words_that_a_parser_would_take_long_for_are_refused_in_a_short_line(word: str, found: str) -> None:
    (problem,) = check_overrides(["stage=lm_sft", word], Catalog()).problems
    assert found in problem and len(problem) < 300


@pytest.mark.parametrize(("other", "key"), KNOWN_ELSEWHERE_AS.items())
def test_words_of_other_programs_lead_to_the_key_that_does_their_work(other: str, key: str) -> None:
    assert is_known_key(key) and not is_known_key(other)
    for typed in (other, f"optimizer.{other}", f"training.{other}"):
        assert unknown_key(typed).endswith(f"did you mean {key}?")


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
    assert list(checked.swept) == ["run.name=1.10,b,2026_01"]
