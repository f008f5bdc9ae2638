"""The monitor in a plain loop of a run that our trainer trains: the same rows, to rounding."""

import numpy as np
import pytest
import torch
from watching import rows_of

from grokscope import GradientMonitor, run_spec, train_run
from reference import Network

# Updates until float32 trajectories may part: the first ReLU that flips in one program only.
STEPS = 12


@pytest.mark.parametrize("settings", [{}, {"encoding": "embedding", "embedding_dim": 8}])
def test_rows_are_those_of_our_trace(tmp_path, settings):
    spec = run_spec(p=11, width=16, depth=3, steps=STEPS, learning_rate=0.003, **settings)
    trace = train_run(spec)
    network = Network(spec)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=spec.learning_rate,
        betas=spec.betas,
        weight_decay=float(spec.weight_decay),
    )

    def layer(name, parameter):
        kind, number = name.split(".")[:2]
        return "0" if kind == "embeddings" else str(int(number) + 1)

    path = tmp_path / "run.parquet"
    with GradientMonitor(network, optimizer, path, groups=layer) as monitor:
        for _ in range(STEPS):
            loss, accuracy = network.loss("train", torch.float32)
            loss.backward()
            with torch.no_grad():
                test_loss, test_accuracy = network.loss("test", torch.float32)
            monitor.log(train_loss=loss, train_accuracy=accuracy)
            monitor.log(test_loss=test_loss, test_accuracy=test_accuracy)
            optimizer.step()
            optimizer.zero_grad()
    rows, metadata = rows_of(path)
    assert metadata["groups"] == list(map(str, trace.layers))
    assert len(rows) == STEPS + 1 == len(trace.frame)
    names = ["train_loss", "train_metric", "grad_norm"]
    names += [f"{kind}_norm_{n}" for kind in ("grad", "weight") for n in trace.layers]
    for name in names:
        np.testing.assert_allclose(
            rows[name][:STEPS], trace.frame[name][:STEPS], rtol=1e-4, err_msg=name
        )
    tested = trace.frame["test_loss"][:STEPS].notna()
    for name in ("test_loss", "test_metric"):
        np.testing.assert_allclose(
            rows[name][:STEPS][tested], trace.frame[name][:STEPS][tested], rtol=1e-4
        )
    # The last state has no update, so no gradient; its weights are known.
    assert np.isnan(rows["grad_norm"].iloc[-1])
    np.testing.assert_allclose(
        rows["weight_norm_1"].iloc[-1], trace.frame["weight_norm_1"].iloc[-1], rtol=1e-5
    )
