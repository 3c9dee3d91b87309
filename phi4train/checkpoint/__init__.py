"""What a run leaves on disk, complete or not at all.

::

    store.py        atomic folders of safetensors and JSON, verified by sha256
      ├─ training_state.py   step=00000200/: trainables, optimizer, position   (resume)
      │    └─ slices.py        each rank's part of the tensors, joined by any number of ranks
      └─ artifact.py         artifact/: the components a stage trained, lineage.json (hand over)
           └─ lineage.py     the tree of artifacts down to its roots
"""
