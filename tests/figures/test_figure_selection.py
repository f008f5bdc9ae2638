"""Selection and layout: which runs and points are drawn, and where."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import learning_run, phase_row, phases_of, transition_row, transitions_of

from grokscope.figures.selection import (
    decimate,
    find_trace,
    in_order,
    key_of,
    row_of,
    spread,
)
from synthetic import write


def test_decimation_keeps_every_spike():
    x = np.arange(100_000)
    y = np.zeros(100_000)
    y[[31_415, 92_653]] = 7, -3
    thin_x, thin_y = decimate(x, y, 2000)
    assert len(thin_x) <= 2000
    assert thin_y[thin_x == 31_415] == [7]
    assert thin_y[thin_x == 92_653] == [-3]
    assert (thin_x[0], thin_x[-1]) == (0, 99_999)
    assert (np.diff(thin_x) > 0).all()


def test_decimation_drops_what_was_not_measured():
    x, y = decimate(np.arange(4), np.array([1, np.nan, np.inf, 4.0]))
    assert x.tolist() == [0, 3]
    assert y.tolist() == [1, 4]


def test_spread_keeps_the_ends():
    assert spread(range(101), 5) == [0, 25, 50, 75, 100]
    assert spread("ab", 5) == ["a", "b"]


def test_trace_of_a_table_row_is_found_by_its_key(tmp_path):
    trace = learning_run(train_fraction=0.7)
    other = learning_run(train_fraction=0.5)
    paths = [write(run, tmp_path) for run in (other, trace)]
    table = transitions_of([transition_row(other), transition_row(trace)])
    row = row_of(table, trace.key)
    assert key_of(row) == trace.key
    assert find_trace(paths, key_of(row)) == str(paths[1])
    with pytest.raises(LookupError, match="seed=9"):
        find_trace(paths, trace.key._replace(seed=9))
    with pytest.raises(LookupError, match=r"0 table rows .*seed=9"):
        row_of(table, trace.key._replace(seed=9))


def test_rows_come_in_the_order_of_the_key():
    rows = [phase_row(seed=seed) for seed in (3, 1, 2)]
    assert in_order(phases_of(rows))["seed"].tolist() == [1, 2, 3]
