"""A process that is alone trains exactly, whatever the strategy; test_ranks.py has several."""

import pytest
import torch

from phi4train.config.schema import StrategyConfig, StrategyKind
from phi4train.data.order.dealing import VirtualRanks
from phi4train.model.components import build_model
from phi4train.model.ownership import Ownership
from phi4train.ranks import OneRank
from phi4train.training.gradients.chosen import build_gradients
from phi4train.training.gradients.exact import ExactGradients
from phi4train.training.losses.loss import WeightedLoss
from phi4train.training.losses.next_token import NextToken
from phi4train.training.micro_batch import MicroBatchLoss
from tests.unit.training.tiny_training import ADAMW, SHAPE


@pytest.mark.parametrize("kind", list(StrategyKind))
def test_one_process_needs_no_deepspeed(kind: StrategyKind) -> None:
    model = build_model(SHAPE, ("language_model",), seed=0)
    micro_batch = MicroBatchLoss(model, [WeightedLoss(NextToken(), 1.0)])
    named = Ownership(model).named_parameters(("language_model",))
    virtual, cpu = VirtualRanks(4, range(4)), torch.device("cpu")
    gradients = build_gradients(StrategyConfig(kind), micro_batch, named, ADAMW, OneRank(), virtual, cpu)
    assert isinstance(gradients, ExactGradients) and gradients.virtual is virtual
