"""The graph of stages: what is done, what is stale and why, what runs next.

::

    graph.py    order from the recipes' parents
    running.py  runs what is missing or stale, parents first
    summary.py  what was measured, a line a stage
    regression.py  measures earlier stages' held-out data again with a later stage's model
    regression_report.py  how far each metric moved: file and table
"""
