"""By how much the branches that came must raise their voice when some are missing, as lcp train finds it."""

import functools
import itertools
import math
import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lcp_data import ImageSet, Portions, loader
from lcp_torch import Model

IMAGES, SUBSETS = 4000, 24
GOLDEN = (math.sqrt(5) - 1) / 2


def fit_missing_scale(model: Model, images: ImageSet, indices: Tensor, workers: int) -> list[float]:
    """For every number of missing branches, from none to all but one, the factor with the smallest cross-entropy.

    - indices: the images to fit on, not those of a test set.
    """
    count = len(model.branches)
    chosen = indices[torch.arange(min(IMAGES, len(indices))) * len(indices) // min(IMAGES, len(indices))]
    shares, truths = [], []
    with torch.no_grad():
        for pixels, labels in loader(images, Portions(chosen, 100, 0, 1), workers, False):
            values = model.preprocess(pixels)
            shares.append(torch.stack([model.share(k, branch(values)) for k, branch in enumerate(model.branches)]))
            truths.append(labels.to(model.device))
        every, truth = torch.cat(shares, 1), torch.cat(truths)

        def loss(factor: float, sums: list[Tensor]) -> float:
            return sum(functional.cross_entropy(factor * found + model.merge.bias, truth).item() for found in sums)

        factors = [1.0]
        for missing in range(1, count):
            sums = [every[list(present)].sum(0) for present in subsets(count, count - missing)]
            factors.append(minimum(0.1, 2 * count / (count - missing), functools.partial(loss, sums=sums)))
    return factors


def subsets(count: int, size: int) -> list[tuple[int, ...]]:
    """All sets of so many branches or, where there are many, some."""
    if math.comb(count, size) <= SUBSETS:
        return list(itertools.combinations(range(count), size))
    drawn = random.Random(1)
    return [tuple(drawn.sample(range(count), size)) for _ in range(SUBSETS)]


def minimum(low: float, high: float, function: Callable[[float], float]) -> float:
    """Where a convex function is smallest, by golden sections."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > 1e-3 * high:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2
