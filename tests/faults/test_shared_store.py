"""A trace store that others write to: simultaneously, carelessly or maliciously."""

import base64
import os
import pickle
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from faults import end, said, start
from grokscope.data.trace_reader import TraceError, read_trace
from grokscope.data.trace_writer import write_sealed
from grokscope.train.store import TraceStore, content_hash
from project import ROOT, copy_checkout
from synthetic import make_spec, make_trace, write

TRACES = [
    f"results/traces/phase_diagram/task=modular_addition/depth=2/train_fraction=0.7"
    f"/weight_decay={decay}/width=4/seed=1.parquet"
    for decay in ("0.0", "0.1")
]


@pytest.mark.slow
def test_two_workflows_at_once_lose_nothing(tmp_path):
    """Both find an empty store and store what they train; a third trains nothing."""
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
        copy_checkout(folder)
    shared = ("--config", f"store={tmp_path / 'store'}")
    calls = [start(folder, *shared, wanted=TRACES) for folder in folders[:2]]
    try:
        for folder, call in zip(folders, calls, strict=False):
            assert call.wait(600) == 0, said(folder)
    finally:
        for call in calls:
            end(call)
    last = start(folders[2], *shared, wanted=TRACES)
    try:
        assert last.wait(600) == 0, said(folders[2])
    finally:
        end(last)
    logs = [log.read_text() for log in folders[2].glob("results/logs/traces/**/*.log")]
    assert sum(log.count("taken from the trace store") for log in logs) == 2
    assert not any("warning" in log for log in logs)
    store = TraceStore(tmp_path / "store")
    for entry in store.entries():
        entry.check()
    frames = [[read_trace(folder / path).frame for path in TRACES] for folder in folders]
    for others in zip(*frames, strict=True):
        assert all(frame.equals(others[0]) for frame in others)


KEEP = """
import sys
from pathlib import Path
from grokscope.train.store import TraceStore
from grokscope.data.trace_reader import read_trace
store, folder = TraceStore(sys.argv[1]), Path(sys.argv[2])
for turn in range(5):
    for path in sorted(folder.rglob("seed=*.parquet")):
        spec = read_trace(path).spec
        store.keep(spec, "cpu", path)
        entry, errors = store.fetch(spec, "cpu", folder / f"out{turn}.parquet")
        assert entry is not None and not errors, errors
"""


def test_many_writers_and_readers_lose_nothing(tmp_path):
    specs = [make_spec(steps=20, seed=seed) for seed in range(8)]
    callers = []
    for number in range(3):
        for spec in specs:
            write(make_trace(spec, info={"seconds": 1.0 + number}), tmp_path / str(number))
        callers.append(
            subprocess.Popen(
                [sys.executable, "-c", KEEP, tmp_path / "store", tmp_path / str(number)],
                env=os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")},
            )
        )
    assert [caller.wait(300) for caller in callers] == [0, 0, 0]
    store = TraceStore(tmp_path / "store")
    assert len(store.entries()) == len(callers) * len(specs)
    for entry in store.entries():
        entry.check()


class Payload:
    """Code that would run if anything unpickled it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def with_metadata(extra):
    def forge(path, spec, touched):
        table = pq.ParquetFile(path).read()
        extended = dict(table.schema.metadata) | extra(spec, touched)
        write_sealed(table.replace_schema_metadata(extended), path)

    return forge


def pickled_type(path, spec, touched):
    """A column of an extension type whose description is a pickle."""
    table = pq.ParquetFile(path).read()
    field = table.schema.field("grad_norm")
    field = field.with_metadata(
        {
            "ARROW:extension:name": "arrow.py_extension_type",
            "ARROW:extension:metadata": pickle.dumps(Payload(touched)),
        }
    )
    place = table.column_names.index("grad_norm")
    write_sealed(table.set_column(place, field, table["grad_norm"]), path)


def pickle_for_a_file(path, spec, touched):
    path.write_bytes(pickle.dumps(Payload(touched)))


def script_for_a_file(path, spec, touched):
    path.write_text(f"#!/bin/sh\ntouch {touched}\n")
    path.chmod(0o777)


def larger_than_any(path, spec, touched):
    with path.open("r+b") as file:
        file.truncate(1 << 40)


def link_to_elsewhere(path, spec, touched):
    secret = path.with_name("secret")
    secret.write_text("secret words")
    path.unlink()
    path.symlink_to(secret)


pandas_metadata = with_metadata(lambda spec, touched: {b"pandas": b'{"index_columns": 7}'})
many_layers = with_metadata(
    lambda spec, touched: {b"grokscope.spec": replace(spec, depth=10**12).to_json().encode()}
)
path_for_a_task = with_metadata(
    lambda spec, touched: {b"grokscope.spec": replace(spec, task="../../x").to_json().encode()}
)

HOSTILE = {
    "pickle_for_a_file": pickle_for_a_file,
    "script_for_a_file": script_for_a_file,
    "larger_than_any": larger_than_any,
    "link_to_elsewhere": link_to_elsewhere,
    "many_layers": many_layers,
    "path_for_a_task": path_for_a_task,
    "pandas_metadata": pandas_metadata,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_entry_can_do_nothing_but_be_refused(name, tmp_path):
    """Also with all hashes forged."""
    spec = make_spec(steps=50)
    store = TraceStore(tmp_path / "store")
    entry = store.keep(spec, "cpu", write(make_trace(spec), tmp_path))
    touched = tmp_path / "touched"
    HOSTILE[name](entry.path, spec, touched)
    if name != "larger_than_any":
        forged = entry.path.with_name(f"{entry.key}-{content_hash(entry.path)}.parquet")
        entry.path.rename(forged)
        entry = replace(entry, path=forged)
    target = tmp_path / "target.parquet"
    found, errors = store.fetch(spec, "cpu", target)
    assert found is None
    assert len(errors) == 1
    assert str(errors[0]).startswith(f"{entry.path}: ")
    assert "secret words" not in str(errors[0])
    assert not target.exists()
    assert not touched.exists()
    if name != "larger_than_any":
        # Also without a required specification, as in grokscope store verify.
        with pytest.raises(TraceError):
            entry.check()
        assert not touched.exists()


def test_a_type_described_by_a_pickle_is_a_column_of_numbers(tmp_path):
    spec = make_spec(steps=50)
    path = write(make_trace(spec, grad_norm=2.0), tmp_path)
    touched = tmp_path / "touched"
    pickled_type(path, spec, touched)
    assert set(read_trace(path, spec).frame["grad_norm"]) == {2.0}
    assert not touched.exists()


@pytest.mark.parametrize("length", [0, 7, 10_000])
def test_words_in_metadata_are_words(length, tmp_path):
    """Any text in a trace's metadata is kept as text, or refused."""
    rng = random.Random(length)
    text = base64.b64encode(rng.randbytes(length)).decode() + "<script>`|\x00\n{{7*7}}"
    spec = make_spec(steps=20)
    path = write(make_trace(spec, info={"device": text, "versions": {text: text}}), tmp_path)
    info = read_trace(path, spec).info
    assert info.device == text and info.versions == {text: text}
