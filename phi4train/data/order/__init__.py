"""Which samples are in global batch k, from the index alone.

::

    planner.py      global batch k as a pure function of (seed, k)
      |-- lengths.py       tokens of a sample, or why it cannot be used
      |-- packing.py       best-fit packs
      |-- source_order.py  the endless order of one source ── permutation.py  keyed shuffles with O(1) access
    dealing.py      the samples of a batch to virtual ranks, by what they cost
"""
