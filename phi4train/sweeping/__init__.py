"""Trains the trials of a multirun.

::

    running.py  one trial after the other, each failure recorded ── record.py  what became of each
"""
