"""Machine code: the same bytes whether freshly compiled or loaded from the cache."""

import json
import os
import subprocess
import sys

import pytest

from project import ROOT

# Digests of the results of each kind of network after some steps.
PROGRAM = """
import hashlib, json, sys
sys.path[:0] = [{scripts!r}, {tests!r}]
from grokscope.train.loop import train
from synthetic import make_spec

found = {{}}
for name, options in {{
    "one_hot": {{"p": 47, "width": 64}},
    "embedding": {{"p": 47, "width": 16, "depth": 3, "encoding": "embedding"}},
    "scalar": {{"task": "cubic_regression", "width": 64, "depth": 3}},
}}.items():
    (result,) = train([make_spec(**options, steps=60, test_every=10)])
    bytes_ = b"".join(values.tobytes() for values in result.columns.values())
    found[name] = hashlib.sha256(bytes_).hexdigest()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_compiled_code_and_cached_code_give_the_same_bytes(tmp_path):
    program = PROGRAM.format(scripts=str(ROOT / "workflow/scripts"), tests=str(ROOT / "tests"))
    fresh, cached = (
        json.loads(
            subprocess.run(
                [sys.executable, "-c", program],
                env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for _ in range(2)
    )
    assert fresh == cached
