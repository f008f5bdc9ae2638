"""The transformer against one written plainly: all positions, no tables, one-hot inputs."""

import math

import numpy as np
import pytest
import torch
from networks import spec_of
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from grokscope.data.parts import transformer_parts
from grokscope.runs.jobs import transformer_products
from grokscope.train.dataset import make_dataset
from grokscope.train.networks.factory import make_network

KINDS = {
    "nanda": {},
    "without": {"biases": "without", "equals_token": False, "positions": False},
    "two_blocks": {"depth": 2, "biases": "all"},
    "pre": {"depth": 2, "layer_norm": "pre", "activation": "gelu", "initialisation": "torch"},
    "post": {
        "depth": 2,
        "layer_norm": "post",
        "causal": False,
        "pooling": "mean",
        "biases": "all",
    },
    "mean": {"pooling": "mean", "equals_token": False},
    "tied": {"tied": True, "layer_norm": "pre", "biases": "all"},
    "attention_only": {"mlp_ratio": 0.0, "depth": 2},
}


def linear(p, name, x):
    """``x W' + b``, whose bias may be missing."""
    out = x @ p[f"{name}.weight"].T
    return out + p[f"{name}.bias"] if f"{name}.bias" in p else out


def norm(p, name, x):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]


def plain(spec, p, inputs, n_symbols):
    """Logits and attention weights of every position of each block, from parameters by name."""
    tokens = inputs
    if spec.equals_token:
        tokens = torch.cat([inputs, torch.full_like(inputs[:, :1], n_symbols)], 1)
    hot = functional.one_hot(tokens, n_symbols + spec.equals_token).double()
    x = hot @ p["symbols"]
    if spec.positions:
        x = x + p["positions"]
    length, size = tokens.shape[1], spec.width // spec.heads
    attention = []
    for i in range(spec.depth):
        name = f"blocks.{i}"
        inner = norm(p, f"{name}.attention_norm", x) if spec.layer_norm == "pre" else x
        q, k, v = (linear(p, f"{name}.attention.{s}", inner) for s in ("query", "key", "value"))
        heads, weights = [], []
        for h in range(spec.heads):
            own = slice(h * size, (h + 1) * size)
            scores = torch.einsum("nid,njd->nij", q[..., own], k[..., own]) / math.sqrt(size)
            if spec.causal:
                mask = torch.ones(length, length).triu(1).bool()
                scores = scores.masked_fill(mask, -torch.inf)
            weights.append(scores.softmax(-1))
            heads.append(weights[-1] @ v[..., own])
        attention.append(torch.stack(weights, 1))
        x = x + linear(p, f"{name}.attention.output", torch.cat(heads, -1))
        x = norm(p, f"{name}.attention_norm", x) if spec.layer_norm == "post" else x
        if spec.mlp_ratio:
            inner = norm(p, f"{name}.mlp_norm", x) if spec.layer_norm == "pre" else x
            hidden = linear(p, f"{name}.into", inner)
            active = hidden.relu() if spec.activation == "relu" else functional.gelu(hidden)
            x = x + linear(p, f"{name}.out", active)
            x = norm(p, f"{name}.mlp_norm", x) if spec.layer_norm == "post" else x
    x = x.mean(1) if spec.pooling == "mean" else x[:, -1]
    x = norm(p, "norm", x) if spec.layer_norm == "pre" else x
    if spec.tied:
        return x @ p["symbols"][:n_symbols].T + p.get("bias", 0), attention
    return linear(p, "unembedding", x), attention


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_are_the_plain_transformers(kind):
    spec = spec_of(dtype="float64", **KINDS[kind])
    data = make_dataset(spec)
    network = make_network(spec, data)
    module = network.module.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        # Also what starts at zero or one.
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    inputs = torch.from_numpy(data.samples.operands[data.train])
    classes = torch.from_numpy(data.samples.classes[data.train])
    parameters = {name: p.detach().clone() for name, p in module.named_parameters()}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    want, attention = plain(spec, parameters, inputs, data.samples.n_symbols)
    found = module(inputs)
    torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-10)
    functional.cross_entropy(found, classes).backward()
    functional.cross_entropy(want, classes).backward()
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(
            parameter.grad, parameters[name].grad, rtol=1e-10, atol=1e-12, msg=name
        )
    # Of the last block only what is read out is computed.
    if spec.pooling == "last":
        attention[-1] = attention[-1][:, :, -1:]
    wanted = []
    for weights in attention:
        entropies = [
            torch.special.entr(weights[:, :, i]).sum(-1).mean() for i in range(weights.shape[2])
        ]
        wanted.append(sum(entropies) / len(entropies))
    torch.testing.assert_close(
        network.attention(inputs), torch.stack(wanted), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("kind", KINDS)
def test_its_parts_are_those_that_its_specification_names(kind):
    spec = spec_of(**KINDS[kind])
    network = make_network(spec, make_dataset(spec))
    parts = transformer_parts(spec)
    assert tuple(network.layers) == parts.layers
    assert tuple(network.matrices) == parts.matrices
    parameters = dict(network.module.named_parameters())
    assert sorted(name for names in network.layers.values() for name in names) == sorted(
        parameters
    )
    assert all(parameters[name].ndim == 2 for name in network.matrices.values())


def test_initial_weights_have_the_stated_scale():
    spec = spec_of(width=128, p=113, mlp_ratio=4.0, heads=4, init_scale=2.0)
    network = make_network(spec, make_dataset(spec))
    p = {name: value.detach() for name, value in network.module.named_parameters()}
    for name in (
        "symbols",
        "positions",
        "blocks.0.attention.query.weight",
        "blocks.0.into.weight",
    ):
        assert np.isclose(float(p[name].std()), 2 / math.sqrt(128), rtol=0.1), name
    assert np.isclose(float(p["unembedding.weight"].std()), 2 / math.sqrt(113), rtol=0.05)
    assert not p["blocks.0.into.bias"].any()
    like_torch = make_network(spec_of(initialisation="torch"), make_dataset(spec_of()))
    assert np.isclose(float(like_torch.module.symbols.detach().std()), 1, rtol=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_time_of_a_job_is_estimated_from_the_operations_that_are_made(kind):
    # Of many samples: products over the vocabulary are left out, as is attention itself.
    spec = spec_of(p=41, width=16, **KINDS[kind])
    data = make_dataset(spec)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        make_network(spec, data).module(torch.from_numpy(data.samples.operands))
    made = counter.get_total_flops() / 2 / len(data.samples.operands)
    assert 1 <= made / transformer_products(spec, 41) < 1.35
