"""Who owns which tensor of a model: found once, for whoever freezes, optimises, proves or saves."""

from collections.abc import Iterable

from torch import Tensor, nn

from phi4train.model.components import installed_components, modules_of, names_of


class Ownership:
    """The tensors and modules of each component of a model.

    Tensors are kept by name, so that a model which moves to another device or dtype stays known.

    Args:
        model: its modules are final.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.components = installed_components(model)
        """Names of the components that own a parameter, in order of registration."""
        self._names = {component: names_of(model, component) for component in self.components}
        self._modules = {component: modules_of(model, component) for component in self.components}

    def parameters(self, component: str) -> dict[str, nn.Parameter]:
        """The component's parameters by canonical key."""
        named = dict(self.model.named_parameters())
        return {key: named[name] for key, name in self._names[component].items() if name in named}

    def named_parameters(self, components: Iterable[str]) -> dict[str, nn.Parameter]:
        """The parameters of some components as `<component>/<key>`."""
        return {
            f"{component}/{key}": parameter
            for component in components
            for key, parameter in self.parameters(component).items()
        }

    def buffers(self, component: str) -> dict[str, Tensor]:
        """The component's persistent buffers by canonical key; not copied."""
        parameters = self.parameters(component)
        return {key: tensor for key, tensor in self.state(component).items() if key not in parameters}

    def state(self, component: str) -> dict[str, Tensor]:
        """The component's parameters and persistent buffers by canonical key, detached, not copied."""
        state = self.model.state_dict()
        return {key: state[name] for key, name in self._names[component].items()}

    def modules(self, component: str) -> list[nn.Module]:
        """The largest modules that are all the component's own: `train()` on them touches no other one."""
        return self._modules[component]

    def tensors_of_others(self, components: Iterable[str]) -> dict[str, Tensor]:
        """Every parameter and buffer of the model that none of `components` owns, by its name in the model.

        Buffers belong to the component of their module; one that no component knows is another's.
        """
        chosen = [component for component in self.components if component in {*components}]
        own = {name for component in chosen for name in self._names[component].values()}
        own_buffers = {
            id(buffer)
            for component in chosen
            for module in self.modules(component)
            for buffer in module.buffers()
        }
        tensors: dict[str, Tensor] = dict(self.model.named_parameters())
        tensors |= {
            name: buffer for name, buffer in self.model.named_buffers() if id(buffer) not in own_buffers
        }
        return {name: tensor for name, tensor in tensors.items() if name not in own}
