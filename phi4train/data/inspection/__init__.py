"""What people want to know about data: `phi4train data check`, `stats` and `show`.

::

    check.py         what is usable, and why the rest is not
    refusals.py      what a run would refuse, by the run's own rules
    stats.py         what a run would see
    show.py          one sample
    media_totals.py  hours and pixels
"""
