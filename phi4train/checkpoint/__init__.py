"""What a run leaves on disk, complete or not at all.

::

    store.py        atomic folders of safetensors and JSON, verified by sha256
      ├─ training_state.py   step=00000200/: trainables, optimizer, RNG, position   (resume)
      └─ artifact.py         artifact/: the components a stage trained, lineage.json (hand over)
           └─ lineage.py     the tree of artifacts down to its roots
"""
