"""Losses: one file each.

::

    loss.py         the seam: what of a batch has the loss, and its sum
    next_token.py   the objective of language models
    ctc.py, reading.py   of media tokens, beside an objective
    chosen.py       the losses that a recipe names, with their weights

A new loss is a file here and a line in `phi4train.objectives.registry`, or a file of the user's own.
"""
