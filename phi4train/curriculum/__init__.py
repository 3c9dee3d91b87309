"""The graph of stages: what is done, what is stale and why, what runs next.

::

    graph.py    order from the recipes' parents
    forecast.py what would be done with each stage, and whether that replaces anything
    running.py  runs what is missing or stale, parents first
    summary.py  what was measured, a line a stage
    regression.py  measures earlier stages' held-out data again with a later stage's model
    regression_report.py  how far each metric moved: file and table
"""
