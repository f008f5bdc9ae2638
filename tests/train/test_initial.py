"""Initial parameters against those that torch makes."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from grokscope.train.dataset import make_dataset
from grokscope.train.initial import TorchGenerator, initial_parameters
from grokscope.train.models import Shape
from synthetic import make_spec

SEEDS = [0, 42, 2**32 - 1, 2**40 + 7]


def close(found, expected):
    """Within rounding: torch's own last bits depend on the processor."""
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_generator_is_that_of_torch(seed):
    """Also where kinds of numbers follow one another, and where few are drawn."""
    torch.manual_seed(seed)
    generator = TorchGenerator(seed)
    for size in (5, 1000, 97 * 16, 100, 17, 16, 3, 4):
        close(generator.normal(size), torch.empty(size).normal_())
        bound = size**-0.5
        expected = torch.empty(size).uniform_(-bound, bound)
        assert (generator.uniform(-bound, bound, size) == expected.numpy()).all(), size


@pytest.mark.parametrize("seed", SEEDS)
def test_layers_of_linear_networks_are_those_of_torch_to_the_last_bit(seed):
    for task, sizes in (
        ("modular_addition", [194, 64, 64, 97]),
        ("s5_composition", [240, 48, 48, 120]),
        ("cubic_regression", [1, 64, 64, 1]),
    ):
        spec = make_spec(task=task, width=sizes[1], depth=3, init_seed=seed, train_fraction=0.5)
        torch.manual_seed(seed)
        linears = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
        parts = [part for linear in linears for part in (linear.weight.T, linear.bias)]
        expected = torch.cat([part.detach().reshape(-1) for part in parts])
        found = initial_parameters(spec, Shape.of(spec, make_dataset(spec)))
        assert found.dtype == np.float32
        assert (found == expected.numpy()).all(), task


def test_embeddings_are_the_published_ones():
    spec = make_spec(encoding="embedding", init_seed=42, p=97, embedding_dim=16, width=32, depth=2)
    torch.manual_seed(42)
    a, b = torch.nn.Embedding(97, 16), torch.nn.Embedding(97, 16)
    first, second = torch.nn.Linear(32, 32), torch.nn.Linear(32, 97)
    parts = [a.weight, b.weight, first.weight.T, first.bias, second.weight.T, second.bias]
    found = initial_parameters(spec, Shape.of(spec, make_dataset(spec)))
    close(found, torch.cat([part.reshape(-1) for part in parts]))
