"""Damaged and forged traces: every one is refused by name."""

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from faults import count
from grokscope.data.trace_reader import TraceError, read_trace, read_traces
from grokscope.data.trace_writer import write_sealed, write_trace
from synthetic import make_spec, make_trace, write

SYMBOLIC = make_spec(steps=60, test_every=10, rank_every=20)
SCALAR = make_spec(task="sine_regression", steps=60, test_every=10, rank_every=20)
STOPPED = make_spec(
    steps=90,
    test_every=10,
    rank_every=20,
    early_stop={"metrics": ["test"], "threshold": 0.9, "hold_steps": 10},
)


def trace_of(spec):
    rng = np.random.default_rng(spec.seed)
    return make_trace(
        spec, train_loss=rng.uniform(1, 2, 61), test_loss=rng.uniform(1, 2, 61), test_metric=0.5
    )


# Damage to the bytes; the result need not be a parquet file.


def truncate(data, rng):
    return data[: rng.randrange(len(data))]


def flip_bit(data, rng):
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def flip_bytes(data, rng):
    for _ in range(rng.randint(2, 40)):
        data = flip_bit(data, rng)
    return data


def zero_block(data, rng):
    """As after a power loss: a block that was never written."""
    place, length = rng.randrange(len(data)), rng.randint(1, 512)
    changed = data[:place] + bytes(len(data[place : place + length])) + data[place + length :]
    return changed if changed != data else flip_bit(data, rng)


def lose_block(data, rng):
    place = rng.randrange(len(data))
    return data[:place] + data[place + rng.randint(1, 200) :]


def append(data, rng):
    return data + rng.randbytes(rng.randint(1, 100))


def replace_all(data, rng):
    return rng.choice([b"", b"PAR1", b"PAR1PAR1", b"not parquet", rng.randbytes(2000)])


OF_BYTES = (truncate, flip_bit, flip_bytes, zero_block, lose_block, append, replace_all)


# Forgeries: complete parquet files with a new digest.


def values_of(table, name):
    return table[name].to_numpy(zero_copy_only=False).copy()


def with_values(table, name, values, mask=None):
    place = table.column_names.index(name)
    column = pa.array(values, table.schema.field(name).type, mask=mask)
    return table.set_column(place, table.schema.field(name), column)


def drop_rows(table, rng):
    # Not the last one: a run that stopped early could also have stopped earlier.
    first = rng.randrange(len(table) - 11)
    gone = range(first, min(first + rng.randint(1, 10), len(table)))
    return table.take([row for row in range(len(table)) if row not in gone])


def repeat_rows(table, rng):
    row = rng.randrange(len(table))
    return table.take([*range(row + 1), row, *range(row + 1, len(table))])


def swap_rows(table, rng):
    order = list(range(len(table)))
    first, second = rng.sample(order, 2)
    order[first], order[second] = second, first
    return table.take(order)


ALWAYS = ("train_loss", "grad_norm", "grad_norm_1", "weight_norm_2")
AT_CADENCE = ("test_loss", "test_metric", "softmax_collapse", "numerical_rank_1")


def smuggle_nan(table, rng):
    """NaN, not null, at a step and in a column that must have a value."""
    name = rng.choice(ALWAYS)
    values = values_of(table, name)
    values[rng.randrange(len(values))] = np.nan
    return with_values(table, name, values)


def smuggle_null(table, rng):
    name = rng.choice(ALWAYS)
    return with_values(table, name, values_of(table, name), np.arange(len(table)) == 7)


def smuggle_infinity(table, rng):
    name = rng.choice(ALWAYS)
    values = values_of(table, name)
    values[rng.randrange(len(values))] = rng.choice([np.inf, -np.inf])
    return with_values(table, name, values)


def lose_evaluation(table, rng):
    # R² and softmax collapse may be undefined in a regression.
    regression = b"sine_regression" in table.schema.metadata[b"grokscope.spec"]
    name = rng.choice(("test_loss", "numerical_rank_1") if regression else AT_CADENCE)
    values = values_of(table, name)
    values[rng.choice([0, 20, 40])] = np.nan
    return with_values(table, name, values)


def add_evaluation(table, rng):
    """A value at a step at which nothing was evaluated."""
    name = rng.choice(AT_CADENCE)
    values = values_of(table, name)
    values[rng.choice([3, 17, 33])] = 0.5
    return with_values(table, name, values)


def negative_norm(table, rng):
    values = values_of(table, "grad_norm")
    values[rng.randrange(len(values))] *= -1
    return with_values(table, "grad_norm", values)


def other_seed(table, rng):
    return with_values(table, "seed", values_of(table, "seed") + 1)


def drop_column(table, rng):
    return table.drop_columns([rng.choice(table.column_names)])


def rename_column(table, rng):
    names = list(table.column_names)
    names[rng.randrange(len(names))] = "renamed"
    return table.rename_columns(names)


def reorder_columns(table, rng):
    return table.select(list(reversed(table.column_names)))


def retype_column(table, rng):
    name = rng.choice([name for name in table.column_names if name not in ("step", "seed")])
    place = table.column_names.index(name)
    return table.set_column(place, name, table[name].cast(pa.float64()))


def lose_metadata(table, rng):
    keep = rng.choice([b"grokscope.spec", b"grokscope.info", None])
    metadata = {key: value for key, value in table.schema.metadata.items() if key == keep}
    return table.replace_schema_metadata(metadata)


def spoil_metadata(table, rng):
    key = rng.choice([b"grokscope.spec", b"grokscope.info"])
    text = table.schema.metadata[key]
    bad = rng.choice([b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", text[:-2], text[1:]])
    return table.replace_schema_metadata(dict(table.schema.metadata) | {key: bad})


OF_TABLE = (
    drop_rows,
    repeat_rows,
    swap_rows,
    smuggle_nan,
    smuggle_null,
    smuggle_infinity,
    lose_evaluation,
    add_evaluation,
    negative_norm,
    other_seed,
    drop_column,
    rename_column,
    reorder_columns,
    retype_column,
    lose_metadata,
    spoil_metadata,
)


# Complete traces in the wrong place, or with impossible metadata.


def another_run(trace, rng):
    return trace_of(replace(trace.spec, seed=trace.spec.seed + 1))


def other_settings(trace, rng):
    name, value = rng.choice(
        [("learning_rate", 0.5), ("steps", 70), ("test_every", 5), ("betas", (0.5, 0.5))]
    )
    return trace_of(replace(trace.spec, **{name: value}))


def older_schema(trace, rng):
    return replace(trace, info=replace(trace.info, schema_version=rng.choice([0, 1, 2, 99, None])))


def false_facts(trace, rng):
    wrong = rng.choice(
        [
            {"stopped": "early_stop"},
            {"stopped": "<script>"},
            {"stopped": None},
            {"diverged_step": 3},
            {"stopped": "diverged"},
            {"stopped": "diverged", "diverged_step": 30},
            {"n_train": -1},
            {"n_test": "many"},
            {"n_parameters": None},
            {"seconds": float("inf")},
            {"seconds": "long"},
            {"device": 7},
            {"processor": None},
            {"versions": {"torch": 2}},
            {"versions": "torch"},
        ]
    )
    return replace(trace, info=replace(trace.info, **wrong))


OF_TRACE = (another_run, other_settings, older_schema, false_facts)


def damaged(kind, spec, folder, rng):
    """A trace file, damaged; where it is."""
    trace = trace_of(spec)
    path = write(trace, folder)
    if kind in OF_BYTES:
        before = path.read_bytes()
        path.write_bytes(kind(before, rng))
        assert path.read_bytes() != before
    elif kind in OF_TABLE:
        write_sealed(kind(pq.ParquetFile(path).read(), rng), path)
    else:
        other = kind(trace, rng)
        columns = {str(name): values.to_numpy() for name, values in other.frame.items()}
        write_trace(path, other.spec, other.info, columns)
    return path


KINDS = (*OF_BYTES, *OF_TABLE, *OF_TRACE)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_damage_is_refused_by_name(kind, tmp_path):
    rng = random.Random(kind.__name__)
    for number in range(-(-count("TRACES") // len(KINDS))):
        spec = (SYMBOLIC, SCALAR, STOPPED)[number % 3]
        path = damaged(kind, spec, tmp_path / str(number), rng)
        # The entrance to every table.
        with pytest.raises(TraceError) as error:
            list(read_traces([path], [spec]))
        assert str(error.value).startswith(f"{path}: "), number


@pytest.mark.parametrize("spec", [SYMBOLIC, SCALAR, STOPPED])
def test_what_is_whole_is_read(spec, tmp_path):
    path = write(trace_of(spec), tmp_path)
    write_sealed(pq.ParquetFile(path).read(), path)
    assert read_trace(path, spec).spec == spec


def test_every_single_byte_counts(tmp_path):
    """Including bytes on which no value depends: statistics, offsets, padding."""
    path = write(trace_of(SYMBOLIC), tmp_path)
    data = path.read_bytes()
    for place in range(0, len(data), max(len(data) // 300, 1)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(TraceError):
            read_trace(path, SYMBOLIC)


def test_a_depth_without_end_is_refused_at_once(tmp_path):
    """Refused before a schema of 10^12 layers is made."""
    path = write(trace_of(SYMBOLIC), tmp_path)
    table = pq.ParquetFile(path).read()
    forged = replace(SYMBOLIC, depth=10**12).to_json()
    metadata = dict(table.schema.metadata) | {b"grokscope.spec": forged.encode()}
    write_sealed(table.replace_schema_metadata(metadata), path)
    with pytest.raises(TraceError, match="columns differ"):
        read_trace(path)
