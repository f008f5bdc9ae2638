"""Tasks: tables, published splits, registration."""

from itertools import permutations

import numpy as np
import pytest

from grokscope.runs.tasks import TASKS, register
from grokscope.train.dataset import make_dataset
from synthetic import make_spec


def data_of(task, **overrides):
    uses = TASKS[task].parameters
    settings = {
        "task": task,
        "p": 97 if "p" in uses else None,
        "samples": 2000 if "samples" in uses else None,
        "encoding": "one_hot" if TASKS[task].symbolic else "scalar",
        "train_fraction": "0.7",
        "data_seed": 42,
    }
    return make_dataset(make_spec(**(settings | overrides)))


@pytest.mark.parametrize(
    ("task", "operation"),
    [
        ("modular_addition", lambda a, b: (a + b) % 97),
        ("modular_subtraction", lambda a, b: (a - b) % 97),
        ("modular_multiplication", lambda a, b: (a * b) % 97),
        ("modular_division", lambda a, b: (a * pow(b, 95, 97)) % 97),
        ("modular_sum_of_squares", lambda a, b: (a**2 + b**2) % 97),
        ("modular_cubic", lambda a, b: (a**3 + a * b) % 97),
    ],
)
def test_modular_tables(task, operation):
    samples = data_of(task).samples
    pairs = [tuple(pair) for pair in samples.operands.tolist()]
    assert pairs == [(a, b) for a in range(97) for b in range(97) if b or task[8:] != "division"]
    assert samples.classes.tolist() == [operation(a, b) for a, b in pairs]


def test_s5_second_operand_acts_first():
    samples = data_of("s5_composition", p=None).samples
    group = list(permutations(range(5)))
    table = dict(zip(map(tuple, samples.operands.tolist()), samples.classes, strict=True))
    assert len(table) == 14_400
    a, b = group.index((1, 0, 2, 3, 4)), group.index((0, 2, 1, 3, 4))
    # b swaps 1 and 2, then a swaps 0 and 1: 0->1, 1->2, 2->0.
    assert group[table[a, b]] == (1, 2, 0, 3, 4)
    for first, second in [(3, 77), (118, 5), (0, 9), (9, 0)]:
        composed = tuple(group[first][group[second][i]] for i in range(5))
        assert group[table[first, second]] == composed


@pytest.mark.parametrize("fraction", ["0.5", "0.7", "0.9"])
def test_published_split_of_modular_addition(fraction):
    data = data_of("modular_addition", train_fraction=fraction)
    order = np.random.RandomState(42).permutation(97 * 97)
    size = int(97 * 97 * float(fraction))
    assert data.train.tolist() == order[:size].tolist()
    assert data.test.tolist() == order[size:].tolist()


def test_published_recipe_of_sine_regression():
    data = data_of("sine_regression")
    rng = np.random.RandomState(42)
    x = rng.uniform(-3, 3, (2000, 1))
    assert np.array_equal(data.samples.inputs, x)
    assert np.array_equal(data.samples.targets, np.sin(x) + 0.3 * np.sin(3 * x))
    assert np.array_equal(data.train, rng.permutation(2000)[:1400])


def test_cubic_is_a_standardised_polynomial_of_degree_three():
    samples = data_of("cubic_regression").samples
    x, y = samples.inputs[:, 0], samples.targets[:, 0]
    for values in (x, y):
        assert values.mean() == pytest.approx(0, abs=1e-12)
        assert values.std() == pytest.approx(1)
    residual = y - np.polyval(np.polyfit(x, y, 3), x)
    assert np.abs(residual).max() < 1e-9
    assert np.abs(y - np.polyval(np.polyfit(x, y, 2), x)).max() > 1e-3
    other = data_of("cubic_regression", data_seed=43).samples
    assert not np.allclose(other.targets, samples.targets)


def test_data_follow_the_data_seed_alone():
    one = data_of("modular_addition", data_seed=1, init_seed=2, seed=3)
    two = data_of("modular_addition", data_seed=1, init_seed=9, seed=8)
    other = data_of("modular_addition", data_seed=2, init_seed=2, seed=3)
    assert np.array_equal(one.train, two.train)
    assert not np.array_equal(one.train, other.train)


def test_train_and_test_part_the_data():
    for task in TASKS:
        data = data_of(task)
        together = np.sort(np.concatenate([data.train, data.test]))
        assert np.array_equal(together, np.arange(len(together)))


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="'modular_addition' is registered twice"):
        register("modular_addition", size=lambda: 1)(lambda rng: None)


@pytest.mark.parametrize(
    ("name", "of", "order", "commuting"),
    [
        ("s4_composition", {}, 24, 120),
        ("a5_composition", {}, 60, 300),
        ("dihedral_composition", {"p": 7}, 14, 70),
        ("dihedral_composition", {"p": 6}, 12, 72),
    ],
)
def test_a_table_is_a_group_of_its_name(name, of, order, commuting):
    samples = TASKS[name].draw(np.random.RandomState(0), **of)
    assert TASKS[name].size(**of) == len(samples.classes) == order**2
    assert samples.n_symbols == samples.n_classes == order
    table = samples.classes.reshape(order, order)
    a, b, c = np.indices((order,) * 3)
    assert np.array_equal(table[table[a, b], c], table[a, table[b, c]])
    assert np.array_equal(table[0], np.arange(order))
    assert (np.sort(table, axis=0) == np.arange(order)[:, None]).all()
    # Commuting pairs are the order times the number of classes of conjugates: 5, 5 and (p + 3) / 2
    # or, of even p, p / 2 + 3.
    assert (table == table.T).sum() == commuting
