"""Objectives: pure functions from hidden rows and labels to a loss.

    hidden (T, D) ──► rows with a label ──► chunks of logits ──► (loss sum, loss of each target)
                      next_token.py          never all at once
    media tokens (N, D), ids that each clip spells ──► (CTC loss sum, number of ids)
                         ctc.py

registry.py names the losses that a recipe may choose. A loss is a sum over targets; dividing by their number
over all ranks happens in one place, in `training`.
"""
