"""Held-out evaluation: plain functions over a model and a mixture, used while training and afterwards.

::

    evaluate.py  evaluate(model, held_out, ...) ──> report.EvaluationReport ──> metrics, JSON, table.py
      |-- metrics/          one metric, one file: perplexity, exact match, error rate, BLEU, your own
      |-- answers.py        generated answers to prompts ──> answers.jsonl
      |-- model_state.py    eval mode, no gradients, RNG put back
    held_out.py      the held-out data of a recipe, opened once ── stage.py  `phi4train evaluate`
    show_answers.py  prints some answers beside small pictures (thumbnail.py), for people
"""
