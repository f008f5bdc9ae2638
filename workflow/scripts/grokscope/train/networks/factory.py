"""Factory: the network of a run, built in or a user's own."""

from __future__ import annotations

from grokscope.runs.spec import RunSpec
from grokscope.train.dataset import Dataset
from grokscope.train.networks.base import Network, TaskDescription
from grokscope.train.networks.mlp import make_mlp
from grokscope.train.networks.own import make_own
from grokscope.train.networks.transformer import make_transformer

_MAKERS = {"mlp": make_mlp, "transformer": make_transformer, "module": make_own}


def make_network(spec: RunSpec, data: Dataset) -> Network:
    """The network of a run in its initial state, on the CPU and in the run's precision.

    Raises
    ------
    ModuleError
        If it is a user's and cannot be used.
    """
    network = _MAKERS[spec.model](spec, TaskDescription.of(spec, data.samples))
    network.scale(spec.init_scale)
    return network
