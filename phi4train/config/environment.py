"""Environment variables in a configuration: paths and names of this machine may use them, and nothing else.

Whatever a configuration says is written down: in config.yaml, in lineages, in logs and by loggers. A secret
that a resolver had put there would be published with it.
"""

import os
import re

from omegaconf import Node, OmegaConf

from phi4train.errors import ConfigError

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|APIKEY|(^|_)(KEYS?|PASS|AUTH|PAT)(_|$)", re.IGNORECASE
)
"""In names of variables that hold no path."""


def register() -> None:
    """Puts `read_variable` in the place of OmegaConf's own `${oc.env:...}`; harmless when repeated."""
    OmegaConf.register_new_resolver("oc.env", read_variable, replace=True)


def read_variable(name: str, default: str | None = None, *, _node_: Node) -> str:
    """What `${oc.env:NAME}` or `${oc.env:NAME,default}` stands for.

    Raises:
        ConfigError: the variable is not set, or what it holds is not for this key.
    """
    key = str(_node_._get_full_key(None))
    if not key.startswith("run.") or _SECRET.search(name):
        raise ConfigError(
            "only run.* may take paths and names from the environment, and no secrets, for a configuration "
            f"is written down · found ${{oc.env:{name}}} in {key} · remove it; programs that need a secret, "
            "such as wandb, read its variable themselves"
        )
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigError(
            f"a variable that {key} uses must be set · found no {name} in the environment · "
            f"set it, or give a default: ${{oc.env:{name},<default>}}"
        )
    return value
