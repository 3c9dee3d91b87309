"""How answers and targets are scored: one metric, one file, and a line in the registry.

::

    metric.py    the seam: AnswerMetric(name, task_words, score, is_right, quantities, values, row, table)
      |-- exact_match.py  accuracy by task
      |-- error_rate.py   word and character error rates by language ── normaliser.py
      |-- bleu.py         BLEU by language ── separated.py  transcript <sep> translation
      |-- perplexity.py   loss per target token, by task ── ngrams.py  unigram and bigram baselines
    what they share: by_language.py, tables.py, intervals.py
    registry.py  register_metric ──> judging.py  each answer to the metric of its task
"""
