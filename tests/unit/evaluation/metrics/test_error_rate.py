"""Error rates are those of a corpus, by hand and by jiwer."""

import io
from random import Random

import jiwer
import pytest
from rich.console import Console

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics.error_rate import ERROR_RATE, ErrorRate, Unit, count_errors, error_rates
from phi4train.evaluation.metrics.metric import Reply


def said(
    reference: str | tuple[str, ...], hypothesis: str, language: str | None = "en", task: str = "asr_a"
) -> Reply:
    references = (reference,) if isinstance(reference, str) else reference
    return Reply(Sample("key", task=task, answers=references, language=language), hypothesis)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors", "units"),
    [
        ("the cat sat down", "the cat sat down", 0, 4),
        ("the cat sat down", "The cat: sat, DOWN.", 0, 4),
        ("the cat sat down", "the dog sat", 2, 4),  # one substituted, one deleted
        ("the cat sat", "the big cat sat on", 2, 3),  # two inserted
        ("seven", "7", 1, 1),
        ("the cat sat", "", 3, 3),
        ("", "the cat", 2, 0),
        ("", "", 0, 0),
        ("...", "?!", 0, 0),
    ],
)
def test_words_are_counted_as_by_hand(reference: str, hypothesis: str, errors: int, units: int) -> None:
    assert count_errors(reference, hypothesis, "en") == (errors, units)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors", "units"),
    [
        ("今天很冷。", "今天 很热", 1, 4),
        ("今天很冷", "今很冷了", 2, 4),
        ("七 一 零", "七一零", 0, 3),
        ("今天", "", 2, 2),
        ("", "今天", 2, 0),
    ],
)
@pytest.mark.parametrize("language", ["zh", "ja"])
def test_characters_are_counted_in_languages_without_spaces(
    reference: str, hypothesis: str, errors: int, units: int, language: str
) -> None:
    assert count_errors(reference, hypothesis, language) == (errors, units)


def test_a_rate_is_errors_of_all_samples_over_words_of_all_references() -> None:
    results = error_rates([said("one", "two"), said("one two three four five six seven", "one two three")])
    assert results[0] == ErrorRate("asr_a", "en", Unit.words, num_errors=5, num_units=8, num_samples=2)
    assert results[0].rate == 5 / 8  # the mean of both samples' rates would be 11 / 14


@pytest.mark.parametrize(("language", "unit"), [("de", Unit.words), ("zh", Unit.characters)])
def test_rates_equal_jiwers_on_a_whole_corpus(language: str, unit: Unit) -> None:
    rng = Random(0)
    words = ["ein", "zwei", "drei", "今", "天", "7"]
    pairs = [
        (" ".join(rng.choices(words, k=rng.randint(1, 8))), " ".join(rng.choices(words, k=rng.randint(0, 8))))
        for _ in range(50)
    ]
    [result, _] = error_rates([said(reference, hypothesis, language) for reference, hypothesis in pairs])
    references, hypotheses = ([pair[side] for pair in pairs] for side in (0, 1))
    expected = (
        jiwer.wer(references, hypotheses)
        if unit is Unit.words
        else jiwer.cer(
            [text.replace(" ", "") for text in references], [text.replace(" ", "") for text in hypotheses]
        )
    )
    assert result.unit is unit
    assert result.rate == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("hypothesis", ["", "noise", "noise again"])
def test_a_corpus_of_silence_has_jiwers_rate(hypothesis: str) -> None:
    [result, _] = error_rates([said("", hypothesis)])
    assert result.rate == jiwer.wer("", hypothesis)


def test_languages_have_results_of_their_own_and_words_and_characters_totals_of_their_own() -> None:
    results = error_rates(
        [said("a b", "a c"), said("a b", "a b", "de"), said("今天", "今", "zh"), said("x", "x", task="asr_b")]
    )
    found = [(r.task, r.language, r.unit.name, r.num_errors, r.num_units, r.num_samples) for r in results]
    assert found == [
        ("asr_a", "de", "words", 0, 2, 1),
        ("asr_a", "en", "words", 1, 2, 1),
        ("asr_a", "zh", "characters", 1, 2, 1),
        ("asr_b", "en", "words", 0, 1, 1),
        ("all", "all", "words", 1, 5, 3),
        ("all", "all", "characters", 1, 2, 1),
    ]
    values = ERROR_RATE.values(results)
    assert values["eval/error_rate/asr_a"] == pytest.approx((0 + 1 / 2 + 1 / 2) / 3)
    assert values["eval/error_rate"] == pytest.approx((0 + 1 / 2 + 1 / 2 + 0) / 4)


def test_a_transcript_without_language_is_listed_as_unknown() -> None:
    assert error_rates([said("a", "a", None)])[0].language == "unknown"


def test_a_transcript_is_right_when_it_has_no_error() -> None:
    assert ERROR_RATE.is_right(said(("nein", "ja und"), "Ja, und!"))
    assert not ERROR_RATE.is_right(said(("nein", "ja und"), "ja oder"))


def test_the_nearest_of_several_references_counts() -> None:
    results = error_rates([said(("twenty one is long", "21"), "21"), said(("a b c d", "a"), "a b c x")])
    assert (results[0].num_errors, results[0].num_units) == (1, 5)


def test_nothing_judged_gives_no_result() -> None:
    assert error_rates([]) == []


def test_rates_have_intervals_in_json_and_in_the_table_where_there_are_any() -> None:
    results = error_rates(
        [*[said("a b c", text) for text in ("a b c", "a b", "x b y")], said("a", "a", "de")]
    )
    by_language = {result.language: result for result in results}
    low, high = by_language["en"].interval or (0.0, 0.0)
    assert low < by_language["en"].rate == 3 / 9 < high
    assert by_language["de"].interval is None and by_language["all"].interval is not None
    rows = {row["language"]: row for row in map(ERROR_RATE.row, results)}
    assert rows["en"]["interval_95"] == [low, high] and rows["de"]["interval_95"] is None
    assert "interval" not in rows["en"]
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(ERROR_RATE.table(results))
    (line,) = [line for line in console.export_text().splitlines() if "│ en " in line]
    assert f"{100 * low:.1f} to {100 * high:.1f}" in line
