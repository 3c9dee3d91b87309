"""Typed configuration: schema, Hydra search path, composition and validation, all before torch loads.

::

    argv ──> overrides.py ──> load.py (Hydra compose) ──> validate.py ──> schema.Config
             names, typos      conf/ + recipes/           meaning         plain dataclasses

    own_files.py     a user's folder, looked through first ── environment.py, hydra_settings.py
    trials.py        the trials of a multirun ── run_names.py
    reference.py     docs/configuration.md
    annotations.py   types and ranges of the schema's fields ──> convert.py, validate_ranges.py
    imports.py       modules of the user's own; moved.py: names that they may still call by an old one
"""
