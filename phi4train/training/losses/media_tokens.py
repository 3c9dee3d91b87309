"""Media tokens as losses of their own compare them with the embeddings of ids."""

from torch import Tensor
from torch.nn import functional as F

from phi4train.training.losses.loss import Forward


def normed_tokens(forward: Forward, positions_N: Tensor) -> Tensor:
    """The embedded tokens at these positions, scaled to a root mean square of 1, (N, D).

    A token's logits are its products with the embeddings of all ids.
    """
    tokens_ND = forward.embedded_TD.index_select(0, positions_N)
    return F.rms_norm(tokens_ND, tokens_ND.shape[1:], eps=forward.model.language_model.shape.norm_eps)
