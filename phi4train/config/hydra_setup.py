"""Tells Hydra about the schema and about recipes/, so that `stage=x` finds `recipes/stage/x.yaml`."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from phi4train.config import environment
from phi4train.config.convert import config_to_dict
from phi4train.config.resources import resource_folder
from phi4train.config.schema import Config

CONFIG_NAME = "config"
"""conf/config.yaml, the root of every composition."""

VERSION_BASE = "1.3"


class RecipesSearchPath(SearchPathPlugin):
    """Appends recipes/; a `searchpath:` in config.yaml would vanish beside a user's `hydra.searchpath=`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Appends recipes/ behind conf/."""
        search_path.append("phi4train", f"file://{resource_folder('recipes')}")


def register() -> None:
    """Makes schema, recipes and resolvers known to Hydra, before a composition; harmless when repeated.

    The schema goes in as plain values: Hydra's own typed nodes stop at the first wrong one, and
    `convert.read_config` reports all of them.
    """
    ConfigStore.instance().store(name="schema", node=config_to_dict(Config()))
    Plugins.instance().register(RecipesSearchPath)
    OmegaConf.register_new_resolver("max", max, replace=True)
    environment.register()
