"""Muon as lcp trains with it, for weights of any shape and in the precision of the weights.

    mixing = lcp_muon.matrices(model.branches)
    optimizer = lcp_muon.Muon(mixing, list(model.merge.parameters()), [], learning_rate=0.01, weight_decay=0.05)

torch.optim.Muon takes matrices only, and computes in bfloat16.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

ROUNDS = 5
FACTORS = 3.4445, -4.775, 2.0315


def orthogonalized(matrices: Tensor) -> Tensor:
    """[count, rows, columns] with all singular values brought to about 1 (Jordan et al., 2024)."""
    first, third, fifth = FACTORS
    turned = matrices.shape[1] > matrices.shape[2]
    values = matrices.mT if turned else matrices
    values = values / (values.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(ROUNDS):
        gram = values @ values.mT
        values = first * values + (third * gram + fifth * gram @ gram) @ values
    return values.mT if turned else values


def matrices(module: nn.Module) -> dict[Tensor, int]:
    """The weights that mix channels, and how many matrices each is: one for every group of a convolution."""
    found: dict[Tensor, int] = {}
    for child in module.modules():
        if not isinstance(child, (nn.Linear, nn.Conv2d)):
            continue
        groups = child.groups if isinstance(child, nn.Conv2d) else 1
        weight = child.weight
        if len(weight) > groups and weight[0].numel() > 1:
            found[weight] = groups
    return found


class Muon(torch.optim.Optimizer):
    """Muon for the matrices, AdamW for all else; steps are about equally long, so that learning rate and decay mean the
    same for both (Liu et al., 2025).

    `decaying` and `others` are parameters that take AdamW, with and without decay.
    """

    def __init__(
        self,
        matrices: dict[Tensor, int],
        decaying: list[Tensor],
        others: list[Tensor],
        learning_rate: float,
        momentum: float = 0.95,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
    ):
        groups: list[dict[str, Any]] = [
            {"params": list(matrices), "groups": list(matrices.values()), "weight_decay": weight_decay},
            {"params": decaying, "groups": None, "weight_decay": weight_decay},
            {"params": others, "groups": None, "weight_decay": 0.0},
        ]
        defaults = {"lr": learning_rate, "momentum": momentum, "beta2": beta2}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for value in group["params"]:
                value.mul_(1 - group["lr"] * group["weight_decay"])
            (self._adam if group["groups"] is None else self._muon)(group)

    def _muon(self, group: dict[str, Any]) -> None:
        factor = group["momentum"]
        # Matrices of the same shape go through the rounds together.
        alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for value, count in zip(group["params"], group["groups"], strict=True):
            if value.grad is None:
                continue
            state = self.state[value]
            if not state:
                state["momentum"] = torch.zeros_like(value)
            state["momentum"].lerp_(value.grad, 1 - factor)
            step = value.grad.lerp(state["momentum"], factor).reshape(count, len(value) // count, -1)
            alike[step.shape[1], step.shape[2]].append((value, step))
        for (rows, columns), members in alike.items():
            steps = orthogonalized(torch.cat([step for _, step in members]))
            length = group["lr"] * 0.2 * max(rows, columns) ** 0.5
            for (value, _), step in zip(members, steps.split([len(step) for _, step in members]), strict=True):
                value.sub_(step.reshape(value.shape), alpha=length)

    def _adam(self, group: dict[str, Any]) -> None:
        beta1, beta2 = group["momentum"], group["beta2"]
        for value in group["params"]:
            if value.grad is None:
                continue
            state = self.state[value]
            if not state:
                state["step"], state["first"], state["second"] = 0, torch.zeros_like(value), torch.zeros_like(value)
            state["step"] += 1
            state["first"].lerp_(value.grad, 1 - beta1)
            state["second"].mul_(beta2).addcmul_(value.grad, value.grad, value=1 - beta2)
            root = (state["second"] / (1 - beta2 ** state["step"])).sqrt_().add_(1e-8)
            value.addcdiv_(state["first"], root, value=-group["lr"] / (1 - beta1 ** state["step"]))
