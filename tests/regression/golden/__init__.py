"""Golden runs: every loss, artifact and final metric of a tiny curriculum, as they were when last renewed.

    python -m tests.regression.golden --write      trains the curriculum and renews golden.json: read its diff

`golden.json` names the kind of machine that made it. On that kind every number is held to the last bit, on
another one losses and metrics are held to 1e-5.
"""
