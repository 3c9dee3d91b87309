"""Runs one stage: the only package that imports lightning.

::

    stage.py  (composition, top to bottom on one screen)
      ├─ schedule.py    learning rate as a function of the step; LR*(D)
      ├─ freezing.py    freeze report before, freeze proof after
      ├─ optimizer.py   AdamW over the trainable tensors, by name
      ├─ module.py      StageModule: one call = one optimizer step over a StepBatch
      ├─ callbacks.py   metrics, progress, checkpoints, evaluation, signals; none changes the maths
      └─ run_folder.py  runs/<stage>/<name>/: config.yaml, metrics.jsonl, skipped.jsonl, loss.png
"""
