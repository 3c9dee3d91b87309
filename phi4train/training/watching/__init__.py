"""What happens around the steps: a callback knows no other callback and never changes the maths.

::

    sample_guard.py   counts samples, stops a run whose data are bad
    metrics.py        metrics.jsonl and other sinks ── metric_keys.py, wandb_sink.py, loader_clock.py
    progress_bar.py   bar and lines
    saving.py         checkpoints when due and when a signal asks
    evaluating.py     held-out data now and then
    progress.py       what a run has consumed
    loss_plot.py      loss.png
"""
