"""Jobs: which runs one job trains."""

import pytest

from grokscope.runs.config import check_config
from grokscope.runs.jobs import block_rules, estimated_seconds, make_blocks
from grokscope.runs.plan import Plan
from grokscope.runs.problems import ConfigError
from synthetic import make_spec


def runs(seeds=(0, 1, 2), decays=("0.0", "1.0"), **others):
    specs = [
        make_spec(weight_decay=decay, seed=seed, **others) for decay in decays for seed in seeds
    ]
    return {spec.key: spec for spec in specs}


def names(blocks):
    return [[(key.seed, key.weight_decay) for key in block] for block in blocks]


def test_blocks_take_all_weight_decays_of_a_seed_then_the_next():
    blocks = make_blocks(runs(), 4)
    assert names(blocks) == [
        [(0, "0.0"), (0, "1.0"), (1, "0.0"), (1, "1.0")],
        [(2, "0.0"), (2, "1.0")],
    ]


def test_appended_seeds_leave_full_blocks_as_they_are():
    before = make_blocks(runs(seeds=(5, 3, 8, 1)), 4)
    after = make_blocks(runs(seeds=(5, 3, 8, 1, 0, 9)), 4)
    assert after[: len(before)] == before


@pytest.mark.parametrize("size", [1, 2, 5, None])
def test_every_run_is_in_one_block(size):
    specs = runs() | runs(depth=3) | runs(width=16, steps=10)
    blocks = make_blocks(specs, size)
    assert sorted(key for block in blocks for key in block) == sorted(specs)
    assert all(len(block) <= (size or 16) for block in blocks)


def test_runs_of_a_block_share_all_but_seed_and_weight_decay():
    specs = runs() | runs(depth=3) | runs(width=16) | runs(train_fraction="0.3")
    for block in make_blocks(specs, 100):
        assert len({key._replace(seed=0, weight_decay="") for key in block}) == 1
    # Equal keys are not enough: other steps are other batches.
    mixed = runs(seeds=(0, 1)) | runs(seeds=(2,), steps=500)
    assert sorted(map(len, make_blocks(mixed, 100))) == [2, 4]


def test_by_default_short_runs_share_a_job_and_long_ones_do_not():
    short = runs(seeds=range(40), task="cubic_regression", width=8, steps=100)
    long = runs(seeds=range(4), task="s5_composition", depth=4, steps=50_000)
    assert estimated_seconds(next(iter(short.values()))) < 1
    assert estimated_seconds(next(iter(long.values()))) > 600
    sizes = [len(block) for block in make_blocks(short | long, None)]
    assert sizes == [16] * 5 + [1] * 8


def test_by_default_no_weight_decay_is_left_over():
    decays = ("0", "0.001", "0.01", "0.1", "1.0")
    specs = runs(seeds=range(7), decays=decays, task="cubic_regression", width=8, steps=100)
    blocks = make_blocks(specs, None)
    assert [len(block) for block in blocks] == [10, 10, 10, 5]
    # Another seed with fewer of them changes no full block.
    more = specs | runs(seeds=(7,), task="cubic_regression", width=8, steps=100)
    assert make_blocks(more, None)[:3] == blocks[:3]


def test_a_rule_covers_the_cells_that_have_its_runs_and_no_others():
    specs = runs(depth=2) | runs(depth=3) | runs(seeds=(0, 1), depth=4) | runs(seeds=(7,), depth=6)
    rules = block_rules(make_blocks(specs, 4))
    paths = [
        f"results/traces/{cell}/{suffix}"
        for rule in rules
        for cell, block in rule.blocks.items()
        for suffix, key in zip(rule.suffixes, block, strict=True)
        if f"results/traces/{cell}/{suffix}" == key.path
    ]
    assert sorted(paths) == sorted(key.path for key in specs)
    assert [len(rule.blocks) for rule in rules] == [3, 2, 1]


def config(**others):
    grid = {
        "tasks": ["cubic_regression"],
        "depths": [2],
        "train_fractions": [0.5],
        "weight_decays": [0.0],
        "widths": [4],
        "seeds": [0, 1, 2],
        "steps": 10,
    }
    return {"studies": {"gai": {"kind": "early_warning", "grids": [grid], "samples": 20}}} | others


def test_without_a_store_every_run_has_its_job():
    assert len(Plan(config(store="somewhere")).block_rules) == 1
    assert Plan(config(store=None)).block_rules == []
    assert Plan(config(store="somewhere", runs_per_job=1)).block_rules == []
    with pytest.raises(ConfigError, match="runs_per_job: 2 is not allowed without a store"):
        check_config(config(store=None, runs_per_job=2))
