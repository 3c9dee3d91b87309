"""Held-out evaluation: plain functions over a model and a mixture, used while training and afterwards.

::

    run.py  evaluate(model, held_out, ...) ──> report.EvaluationReport ──> metric_keys.py, JSON, table.py
      |-- perplexity.py     loss per target token, by task ── ngrams.py  unigram and bigram baselines
      |-- answers.py        generated answers to prompts
      |-- judging.py        which metric judges an answer, by the name of its task
      |     |-- exact_match.py  accuracy by task
      |     |-- error_rate.py   word and character error rates by language ── normaliser.py
      |     |-- bleu.py         BLEU by language
      |-- model_state.py    eval mode, no gradients, RNG put back
    show.py  prints some answers beside small pictures (thumbnail.py), for people
"""
