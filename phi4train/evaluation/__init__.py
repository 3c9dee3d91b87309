"""Held-out evaluation: plain functions over a model and a mixture, used while training and afterwards.

::

    run.py  evaluate(model, held_out, ...) ──> report.EvaluationReport ──> metrics, JSON, table.py
      |-- metrics/          one metric, one file: perplexity, exact match, error rate, BLEU, your own
      |-- answers.py        generated answers to prompts
      |-- model_state.py    eval mode, no gradients, RNG put back
    show.py  prints some answers beside small pictures (thumbnail.py), for people
"""
