"""Blocks: short runs that one job trains, since single ones would mostly wait for Python to start.

The runs of a block differ only in weight decay and seed, so they share their shape (and, on an
accelerator, a batch). They are filled seed by seed: appending seeds to a grid leaves the full
blocks before them unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from grokscope.runs.recipes import by_hand
from grokscope.runs.spec import RunKey, RunSpec
from grokscope.runs.tasks import TASKS, parameters_of

# Duration of a job of many short runs: ten times that of its start.
_BLOCK_SECONDS = 30.0
_MOST_RUNS = 16
# Fields that the runs of a block have in common.
_ALIKE = {field.name for field in fields(RunSpec)} - {
    "seed",
    "data_seed",
    "init_seed",
    "weight_decay",
}


def estimated_seconds(spec: RunSpec) -> float:
    """Approximate training time of a run on one core (seconds) if it does not stop early.

    Floating-point operations of its matrix products at 100 GFLOP/s, a few passes over
    activations and logits, and 0.2 ms per step for everything else (measured within a factor of
    two; benchmarks/RESULTS.md). By automatic differentiation 40 GFLOP/s and 2 ms. Of a user's
    network nothing is known: it is taken for a perceptron.
    """
    task = TASKS[spec.task]
    n = task.size(**parameters_of(spec, task))
    n_out = math.isqrt(n) + 1 if task.symbolic else 1
    products: float = max(spec.depth - 2, 0) * spec.width**2 + spec.width * n_out
    if not by_hand(spec):
        if spec.model == "transformer":
            products = transformer_products(spec, n_out)
        trained = min(n * float(spec.train_fraction), spec.batch_size or n)
        samples = 3 * trained + n / spec.test_every
        return spec.steps * (2 * products * samples / 4e10 + 2e-3)
    passes = n * ((spec.depth - 1) * spec.width + 4 * n_out)
    return spec.steps * (6 * n * products / 1e11 + passes / 1e10 + 2e-4)


def transformer_products(spec: RunSpec, n_out: int) -> float:
    """Multiplications of numbers in one sample's pass forward.

    The first block's queries, keys and values are of the vocabulary, not of samples; of the last
    block only what is read out is computed.
    """
    assert spec.mlp_ratio is not None
    length = 2 + bool(spec.equals_token)
    read = 1 if spec.pooling == "last" else length
    inner = 1 + 2 * spec.mlp_ratio  # Attention's output and the MLP, per position.
    squares = inner * read
    if spec.depth > 1:
        # Keys and values of all positions, queries of those that are read.
        squares += 2 * length + read + inner * length
        squares += (spec.depth - 2) * (3 + inner) * length
    return squares * spec.width**2 + spec.width * n_out


@dataclass(frozen=True)
class BlockRule:
    """Blocks whose runs have the same path suffixes: one rule of the workflow.

    Attributes
    ----------
    suffixes
        Ends of the paths of a block's traces, one per run.
    blocks
        Runs of each block, by the common beginning of their paths.
    """

    suffixes: tuple[str, ...]
    blocks: Mapping[str, tuple[RunKey, ...]]


def make_blocks(
    specs: Mapping[RunKey, RunSpec], runs_per_job: int | None
) -> list[tuple[RunKey, ...]]:
    """Split the runs into blocks of one or more.

    Parameters
    ----------
    specs
        All runs.
    runs_per_job
        Largest number of runs per block; None fills blocks with short runs up to about half a
        minute.
    """
    groups: dict[tuple[str, ...], list[RunKey]] = {}
    for key, spec in specs.items():
        # As text, since not every value is hashable.
        alike = tuple(str(getattr(spec, name)) for name in _ALIKE)
        groups.setdefault(alike, []).append(key)
    blocks = []
    for keys in groups.values():
        # In the order of the seeds' first appearance: all weight decays of one, then the next.
        order = {seed: place for place, seed in enumerate(dict.fromkeys(k.seed for k in keys))}
        keys.sort(key=lambda key: order[key.seed])
        size = runs_per_job
        if size is None:
            fit = _BLOCK_SECONDS / estimated_seconds(specs[keys[0]])
            # Whole seeds where they fit, so that no weight decay is left over; counted by the
            # first seed, since seeds may be appended.
            unit = sum(key.seed == keys[0].seed for key in keys)
            if unit > fit:
                unit = 1
            # Times a power of two: cells of similar cost get blocks of equal size, so fewer rules.
            size = unit * 2 ** int(math.log2(min(max(fit, unit), max(_MOST_RUNS, unit)) / unit))
        blocks += [tuple(keys[start : start + size]) for start in range(0, len(keys), size)]
    return blocks


def block_rules(blocks: list[tuple[RunKey, ...]]) -> list[BlockRule]:
    """The rules for the blocks of more than one run."""
    rules: dict[tuple[str, ...], dict[str, tuple[RunKey, ...]]] = {}
    for block in blocks:
        if len(block) > 1:
            parts = [key.path.removeprefix("results/traces/") for key in block]
            begin = parts[0].partition("/weight_decay=")[0]
            ends = tuple(part.removeprefix(f"{begin}/") for part in parts)
            rules.setdefault(ends, {})[begin] = block
    return [BlockRule(suffixes, found) for suffixes, found in rules.items()]
