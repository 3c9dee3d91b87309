"""The gradients of a strategy."""

from collections.abc import Mapping

import torch
from torch import nn

from phi4train.config.schema import StrategyConfig, StrategyKind
from phi4train.data.order.dealing import VirtualRanks
from phi4train.ranks import Ranks
from phi4train.training.gradients.exact import ExactGradients
from phi4train.training.gradients.gradients import Gradients
from phi4train.training.micro_batch import MicroBatchLoss
from phi4train.training.optimizer import AdamWSettings

ZERO_STAGES = {
    StrategyKind.deepspeed_zero1: 1,
    StrategyKind.deepspeed_zero2: 2,
    StrategyKind.deepspeed_zero3: 3,
}


def build_gradients(
    strategy: StrategyConfig,
    micro_batch: MicroBatchLoss,
    named: Mapping[str, nn.Parameter],
    settings: AdamWSettings,
    ranks: Ranks,
    virtual: VirtualRanks,
    device: torch.device,
) -> Gradients:
    """See Gradients. A process that is alone has nobody to share with, and needs no DeepSpeed.

    Args:
        strategy: how the ranks share the work.
        micro_batch: model and losses, frozen and on the device.
        named: the trainable tensors as `<component>/<key>`.
        settings: of AdamW.
        ranks: the processes that share a step.
        virtual: the virtual ranks, and which are this process's.
        device: of this rank.
    """
    if strategy.kind not in ZERO_STAGES or ranks.size == 1:
        return ExactGradients(micro_batch, named, settings, ranks, virtual)
    # deepspeed costs seconds that other strategies need not pay
    from phi4train.training.gradients.zero import ZeroGradients

    stage = ZERO_STAGES[strategy.kind]
    return ZeroGradients(micro_batch, named, settings, ranks, virtual, stage, device)
