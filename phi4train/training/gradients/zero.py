"""DeepSpeed's ZeRO behind our own step: one reduction a step, our norms and clipping.

ZeRO 1 shards the optimizer's state over the ranks, 2 the gradients too, 3 the parameters too, frozen ones
included. Nothing else of phi4train imports deepspeed.

Source: ZeRO, arXiv 1910.02054; https://deepspeed.readthedocs.io.
"""

import argparse
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from phi4train.batch import Batch
from phi4train.checkpoint.slices import SliceReader
from phi4train.data.order.dealing import VirtualRanks
from phi4train.ranks import Ranks
from phi4train.training.gradients.exact import square_sum
from phi4train.training.micro_batch import MicroBatchLoss, MicroBatchShare
from phi4train.training.optimizer import MOMENTS, AdamWSettings, build_adamw, num_updates, set_lr


def _import_deepspeed() -> Any:
    """The package, which is to compile nothing and to print nothing of its own affairs."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of setuptools, about the order in which it is imported
        import deepspeed
        import deepspeed.ops
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # else it is compiled
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # it calls collectives by the names that they had before torch 2.14
    warnings.filterwarnings("ignore", message=r"`torch\.distributed\.\w+` is deprecated")
    return deepspeed


deepspeed = _import_deepspeed()


class ZeroGradients:
    """See Gradients.

    Args:
        micro_batch: model and losses; DeepSpeed wraps it.
        named: the trainable tensors as `<component>/<key>`.
        settings: of AdamW.
        ranks: the processes that share a step; the process group is theirs.
        virtual: the virtual ranks, and which are this process's.
        stage: 1, 2 or 3.
        device: of this rank.
    """

    def __init__(
        self,
        micro_batch: MicroBatchLoss,
        named: Mapping[str, nn.Parameter],
        settings: AdamWSettings,
        ranks: Ranks,
        virtual: VirtualRanks,
        stage: int,
        device: torch.device,
    ) -> None:
        self.virtual = virtual
        self.needs_lockstep = stage == 3
        self._named = dict(named)
        self._ranks = ranks
        self._stage = stage
        self._component = {id(parameter): name.split("/", 1)[0] for name, parameter in named.items()}
        self._open = ExitStack()
        """The reduction of the step that is being made."""
        if stage == 3:
            micro_batch.model.keep_in_lockstep()
            encoders = {type(tower.encoder) for tower in micro_batch.model.encoders.values()}
            if encoders:
                deepspeed.utils.set_z3_leaf_modules(micro_batch.model, list(encoders))
        deepspeed.init_distributed(dist_backend=dist.get_backend())
        self.optimizer: torch.optim.Optimizer = build_adamw(named, settings)
        self._engine, self._zero, _, _ = deepspeed.initialize(
            args=argparse.Namespace(device_rank=device.index or 0),
            model=micro_batch,
            model_parameters=list(named.values()),
            optimizer=self.optimizer,
            config=_settings(stage),
            dist_init_required=False,
        )
        if stage == 3:  # the losses use it outside of its module
            deepspeed.zero.register_external_parameter(micro_batch, micro_batch.model.head_weight)

    def share(self, batch: Batch, selections: Sequence[Any], counts: Sequence[int]) -> MicroBatchShare:
        """See Gradients."""
        share: MicroBatchShare = self._engine(batch, selections, counts)
        return share

    @contextmanager
    def whole_model(self) -> Iterator[None]:
        """See Gradients; ZeRO 3 gathers all weights, and its hooks, which would shard them again, are off."""
        if self._stage < 3:
            yield
            return
        offload = self._zero.parameter_offload
        offload._remove_module_hooks()
        offload.forward_hooks.clear()
        offload.backward_hooks.clear()
        try:
            with deepspeed.zero.GatheredParameters(list(self._engine.module.parameters())):
                yield
        finally:
            offload.setup_zero_stage3_hooks()

    def zero(self) -> None:
        """See Gradients."""
        self._open.close()
        self._open.enter_context(self._engine.coalesce_grad_reduction())

    def backward(self, loss: Tensor, virtual_rank: int) -> None:
        """See Gradients. ZeRO 3 knows the mean over ranks only."""
        self._engine.backward(loss * self._ranks.size if self._stage == 3 else loss)

    def finish(self) -> dict[str, float]:
        """See Gradients."""
        if self._stage < 3:
            for parameter in self._named.values():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
        self._open.close()
        names = sorted(set(self._component.values()))
        squares = torch.zeros(len(names), dtype=torch.float64, device=self._engine.device)
        for component, gradient in self._own_gradients():
            squares[names.index(component)] += square_sum(gradient)
        dist.all_reduce(squares)
        return dict(zip(names, squares.sqrt().tolist(), strict=True))

    def step(self, lr: float, scale: float) -> None:
        """See Gradients."""
        if scale != 1.0:
            for _, gradient in self._own_gradients():
                gradient.mul_(scale)
        set_lr(self.optimizer, lr)
        self._engine.step()

    def skip(self) -> None:
        """See Gradients."""
        self._zero.zero_grad(set_to_none=True)
        if self._stage == 3:
            self._zero.averaged_gradients = {}
            return
        for key in self._zero.averaged_gradients:
            self._zero.averaged_gradients[key] = None
            self._zero.all_grad_tensors[key] = None

    @property
    def num_updates(self) -> int:
        """See Gradients."""
        return num_updates(self.optimizer)

    def slices(self) -> dict[str, Tensor]:
        """See Gradients."""
        kinds = ("model", *MOMENTS) if self.num_updates else ("model",)
        self._link_moments()
        slices = {}
        for name, parameter in self._named.items():
            for kind in kinds:
                start, part = self._own_part(parameter, kind)
                if part.numel():
                    slices[f"{kind}/{name}@{start}"] = part.detach()
        return slices

    def load(self, tensors: SliceReader, num_updates: int) -> None:
        """See Gradients."""
        if num_updates:
            self._make_moments(num_updates)
        for name, parameter in self._named.items():
            shape = getattr(parameter, "ds_shape", parameter.shape)
            deepspeed.utils.safe_set_full_fp32_param(parameter, tensors.read(f"model/{name}", shape))
            for kind in MOMENTS if num_updates else ():
                moment = tensors.read(f"{kind}/{name}", shape)
                deepspeed.utils.safe_set_full_optimizer_state(parameter, moment, kind)
        self._copy_masters()

    def _own_part(self, parameter: Any, kind: str) -> tuple[int, Tensor]:
        """Where this rank's part of a tensor starts, and the part, flat."""
        if self._stage == 3:
            get = deepspeed.utils
            whole = (
                get.safe_get_local_fp32_param(parameter)
                if kind == "model"
                else get.safe_get_local_optimizer_state(parameter, kind)
            )
            start = self._ranks.rank * parameter.ds_tensor.ds_numel
            return start, whole.flatten()[: max(0, parameter.ds_numel - start)]
        mapping = parameter._hp_mapping
        if mapping is None:
            return 0, torch.empty(0)
        return mapping.lp_fragment_address.start, mapping.get_hp_fragment(None if kind == "model" else kind)

    def _make_moments(self, num_updates: int) -> None:
        """Moments of zeros, as if so many steps had been made: what is to be set must be there."""
        groups = self.optimizer.param_groups
        flats = (
            self._zero.fp32_partitioned_groups_flat
            if self._stage == 3
            else [flat for group in groups for flat in group["params"]]
        )
        for flat in flats:
            self.optimizer.state[flat] = {
                "step": torch.tensor(float(num_updates)),
                **{kind: torch.zeros_like(flat) for kind in MOMENTS},
            }
        self._link_moments()

    def _copy_masters(self) -> None:
        """Makes the weights that the model runs with those of the optimizer."""
        if self._stage < 3:
            self._zero.update_lp_params()
            for group in range(len(self._zero.bit16_groups)):
                self._zero._update_model_bit16_weights(group)
            return
        parameter: Any  # with what DeepSpeed has put on it
        for parameter in self._named.values():
            own = deepspeed.utils.safe_get_local_fp32_param(parameter).flatten()
            held = parameter.ds_tensor.data
            held[: min(len(own), held.numel())].copy_(own[: held.numel()])

    def _own_gradients(self) -> Iterator[tuple[str, Tensor]]:
        """(component, gradient) of the part of each tensor that this rank updates, after the reduction."""
        optimizer = self._zero
        for group in range(len(optimizer.averaged_gradients)):
            sharded = optimizer.fp16_groups if self._stage == 3 else optimizer.params_in_partition
            for parameter, gradient in zip(sharded[group], optimizer.averaged_gradients[group], strict=True):
                yield self._component[id(parameter)], gradient

    def _link_moments(self) -> None:
        """DeepSpeed links moments after the first group's step, when later groups have none yet."""
        if self._stage < 3:
            self._zero._hp_optimizer_states_linked = False
            self._zero._lazy_init_hp_params_optimizer_state()


def _settings(stage: int) -> dict[str, Any]:
    """DeepSpeed's configuration: it shards and reduces, and leaves clipping and precision to us."""
    settings: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 0.0,  # its own default clips at 1.0
        "zero_optimization": {
            "stage": stage,
            "overlap_comm": False,
            "stage3_param_persistence_threshold": 0,
            # it would put another linear layer into torch for good, whose backward rounds otherwise
            "memory_efficient_linear": False,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
    return settings if stage == 3 else settings | {"gradient_allreduce_op": "sum"}
