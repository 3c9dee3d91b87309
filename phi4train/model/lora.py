"""LoRA on top of peft (its config, injection, weights, merging) with a forward that routes rows to adapters.

Shape suffixes: T tokens, N tokens of one adapter, D model dimension.
Source: LoRA, arXiv 2106.09685; mixture of modality adapters: Phi-4-Mini technical report, arXiv 2503.01743.
"""

from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as PeftLoraLinear
from torch import Tensor

from phi4train.model.language_model import LanguageModel, RoutedLinear
from phi4train.model.routing import Routing
from phi4train.model.shapes import LoraShape

LORA_TARGETS = r"layers\.\d+\.(self_attn\.(qkv_proj|o_proj)|mlp\.(gate_up_proj|down_proj))"
"""The four fused linears of every decoder layer, by their name inside the language model."""


class RoutedLoraLinear(PeftLoraLinear):
    """peft's LoRA layer, each row with the adapter that the routing names for it."""

    def forward(self, x_TD: Tensor, routing: Routing) -> Tensor:
        """The base layer's rows, plus each adapter's share on its own rows; other rows stay bit-identical."""
        out: Tensor = self.base_layer(x_TD, routing)
        for assignment in routing.assignments:
            rows_N = assignment.rows_N
            if rows_N is None:
                out = out + self._share(assignment.adapter, x_TD).to(out.dtype)
            else:
                share = self._share(assignment.adapter, x_TD.index_select(0, rows_N))
                out = out.index_add(0, rows_N, share.to(out.dtype))
        return out

    def _share(self, adapter: str, x_ND: Tensor) -> Tensor:
        low_rank = self.lora_A[adapter](self.lora_dropout[adapter](x_ND))
        share: Tensor = self.lora_B[adapter](low_rank * self.scaling[adapter])
        return share


def lora_config(shape: LoraShape) -> LoraConfig:
    """peft's configuration of an adapter of this size."""
    return LoraConfig(
        r=shape.r,
        lora_alpha=shape.alpha,
        lora_dropout=shape.dropout,
        target_modules=LORA_TARGETS,
        bias="none",
    )


def install_adapter(language_model: LanguageModel, name: str, shape: LoraShape) -> None:
    """Wraps the target layers of `language_model` in place, or adds the adapter to those already wrapped.

    peft initialises the weights from the global generator; whoever builds a model initialises them anew.
    """
    config: Any = lora_config(shape)
    config._register_custom_module({RoutedLinear: RoutedLoraLinear})
    inject_adapter_in_model(config, language_model, adapter_name=name)
    del language_model.peft_config  # peft's note of its last injection, which makes it warn at the next one
