"""Gradients: how a strategy makes, reduces and applies them; one file a strategy.

::

    gradients.py     the seam: backward, finish (reduce once, norms), step or skip, state in and out
    exact.py         AdamW; sums in one fixed tree, on one process or several
"""
