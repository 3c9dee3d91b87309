"""BLEU is that of the corpus, by hand and by sacrebleu."""

import math
from random import Random

import pytest
import sacrebleu

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics import bleu
from phi4train.evaluation.metrics.bleu import BLEU, bleu_scores, script_language, tokenizer_of
from phi4train.evaluation.metrics.metric import Reply


def translated(
    reference: str | tuple[str, ...],
    hypothesis: str,
    language: str = "de",
    task: str = "ast_a",
    target: str | None = None,
) -> Reply:
    references = (reference,) if isinstance(reference, str) else reference
    meta = {} if target is None else {"target_language": target}
    return Reply(Sample("key", task=task, answers=references, language=language, meta=meta), hypothesis)


def test_a_score_is_as_by_hand() -> None:
    [result] = bleu_scores([translated("the cat sat on the mat", "the cat sat on a mat")])
    # n-grams found: 5 of 6, 3 of 5, 2 of 4, 1 of 3; same length, so no brevity penalty
    assert result.score == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4))


def test_a_short_translation_is_penalised_as_by_hand() -> None:
    [result] = bleu_scores([translated("one two three four five six", "one two three four")])
    assert result.score == pytest.approx(100 * math.exp(1 - 6 / 4))


def test_a_score_is_of_all_samples_together() -> None:
    pairs = [("a b c d e", "a b c d e"), ("f g h i j", "f x h y j")]
    [result] = bleu_scores([translated(*pair) for pair in pairs])
    # 8 of 10, 4 of 8, 3 of 6, 2 of 4
    assert result.score == pytest.approx(100 * (8 / 10 * 4 / 8 * 3 / 6 * 2 / 4) ** (1 / 4))
    assert result.num_samples == 2


@pytest.mark.parametrize(("target", "tokenizer"), [("en", "13a"), ("zh", "zh")])
def test_scores_equal_sacrebleus(target: str, tokenizer: str) -> None:
    rng = Random(0)
    words = ["Das", "haus,", "ist", "gross.", "今天", "很冷。"]
    texts = [[" ".join(rng.choices(words, k=rng.randint(0, 12))) for _ in range(40)] for _ in range(2)]
    references, hypotheses = texts
    expected = sacrebleu.corpus_bleu(hypotheses, [references], tokenize=tokenizer).score
    pairs = zip(references, hypotheses, strict=True)
    [result] = bleu_scores([translated(*pair, target=target) for pair in pairs])
    assert 0 < expected < 100
    assert result.score == pytest.approx(expected, abs=1e-9)
    assert f"tok:{tokenizer}|" in result.signature


def test_every_accepted_answer_is_a_reference() -> None:
    several = translated(("a b c d", "e f g h"), "e f g h")
    [result] = bleu_scores([several, translated("i j k l", "i j k l")])
    assert result.score == pytest.approx(100)


def test_translations_of_three_words_still_have_a_score() -> None:
    [right] = bleu_scores([translated("seven one zero", "seven one zero")])
    [half] = bleu_scores([translated("seven one zero", "seven one two")])
    assert right.score == pytest.approx(100)
    assert 0 < half.score < 100


@pytest.mark.parametrize(("reference", "hypothesis"), [("a b", ""), ("", "a b"), ("", "")])
def test_an_empty_text_scores_nothing(reference: str, hypothesis: str) -> None:
    assert [result.score for result in bleu_scores([translated(reference, hypothesis)])] == [0]


def test_languages_have_scores_of_their_own_that_are_averaged() -> None:
    results = bleu_scores(
        [
            *(translated("a b c d", "a b c d", "fr"), translated("a b c d", "x")),
            translated("a b c d", "x", task="ast_b"),
        ]
    )
    assert [(r.task, r.language) for r in results] == [("ast_a", "de"), ("ast_a", "fr"), ("ast_b", "de")]
    assert BLEU.values(results) == pytest.approx(
        {
            **{"eval/bleu": 100 / 3, "eval/bleu/ast_a": 50, "eval/bleu/ast_b": 0},
            **{"eval/bleu/ast_a/de": 0, "eval/bleu/ast_a/fr": 100, "eval/bleu/ast_b/de": 0},
        }
    )


def test_a_named_target_is_part_of_the_pair_and_a_sample_without_language_is_listed_as_unknown() -> None:
    named = translated("你好", "你好", "de-AT", target="zh-CN")
    [pair] = bleu_scores([named])
    assert (pair.language, "tok:zh|" in pair.signature) == ("de-zh", True)
    [unknown] = bleu_scores([Reply(Sample("key", task="ast_x", answers=("a",)), "a")])
    assert unknown.language == "unknown"


def test_the_script_of_the_references_decides_where_no_target_is_named() -> None:
    [chinese] = bleu_scores([translated("今天很冷", "今天很热", "en")])
    [english] = bleu_scores([translated("it is cold today", "it is cold", "zh")])
    assert "tok:zh|" in chinese.signature
    assert "tok:13a|" in english.signature
    assert script_language(["寒い", "日本"]) == "ja"
    assert script_language([]) == "unknown"


@pytest.mark.parametrize(("has_mecab", "expected"), [(True, "ja-mecab"), (False, "char")])
def test_japanese_is_split_by_mecab_where_it_is(
    has_mecab: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bleu, "_has_mecab", lambda: has_mecab)
    assert tokenizer_of("ja") == expected


def test_japanese_has_a_score_with_or_without_mecab() -> None:
    [result] = bleu_scores([translated("今日は寒いです", "今日は寒いです", target="ja")])
    assert result.score == pytest.approx(100)


def test_nothing_judged_gives_no_result() -> None:
    assert bleu_scores([]) == []
