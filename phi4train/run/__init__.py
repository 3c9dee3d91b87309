"""What a run is, before anything trains: its folder, what it starts from, its data, its schedule.

::

    trained.py     a finished stage's model, opened from its artifact
    record.py      what a run has left in its folder, read in one place
    opened.py      a stage opened once: folder, inputs, checkpoints, status
    resume.py      where a run starts from ── status.py  whether a stage is done, and if not, why
                   extension.py  more steps than it was begun with ── branch.py  from another run's checkpoint
                   requeue.py    what a scheduler starts again goes on with what it began
    inputs.py      parents, initial components, data ── stage_data.py  a mixture under a recipe's limits
    virtual.py     the shares of a step, fixed at a run's first start
    schedule.py    learning rate as a function of the step; LR*(D)
    run_folder.py  runs/<stage>/<name>/ ── paths.py  where it is, and the commands that fill it
    torch_setup.py, provenance.py
"""
