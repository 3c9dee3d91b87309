"""Runs one stage: the only package that imports lightning.

::

    stage.py  (composition, top to bottom on one screen)
      ├─ briefing.py     what the user is told before it starts
      ├─ freezing.py     freeze report before, freeze proof after
      ├─ micro_batch.py  from a batch to its share of the step's loss ── losses/     one loss, one file
      ├─ gradients/      backward, norms, optimizer step: one strategy, one file ── optimizer.py
      ├─ launch.py       starts, watches and ends ranks ── strategy.py  what Lightning sees of them
      ├─ stopping.py     signals, held back until the state is saved
      ├─ module.py       StageModule: one call = one optimizer step over a StepBatch
      └─ stage_run.py    fits (fitting.py), saves (checkpointing.py), evaluates, proves, publishes
           └─ watching/  metrics, progress, checkpoints, evaluation, signals; none changes the maths
"""
