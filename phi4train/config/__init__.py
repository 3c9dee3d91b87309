"""Typed configuration: schema, Hydra search path, composition and validation, all before torch loads.

::

    argv ──> overrides.py ──> load.py (Hydra compose) ──> validate.py ──> schema.Config
             names, typos      conf/ + recipes/           meaning         plain dataclasses
"""
