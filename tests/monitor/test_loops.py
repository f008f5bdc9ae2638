"""Loops of all kinds under the monitor: its norms are those computed otherwise, in float64."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_
from watching import Expected, assert_rows, batches, layers, loss_of, model_of, rows_of, train

from grokscope import GradientMonitor
from grokscope.core.errors import UserError

ADAMW = partial(torch.optim.AdamW, lr=1e-2)
SGD = partial(torch.optim.SGD, lr=0.1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.parquet"


def test_closed_form(path):
    """Loss w·c: the gradient is c; SGD with rate 0.5 moves w by c / 2."""
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0]]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with GradientMonitor(model, optimizer, path, groups=lambda name, p: "all") as monitor:
        for _ in range(3):
            (model.weight * torch.tensor([[6.0, 8.0]])).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        assert monitor.step == 3
    rows, metadata = rows_of(path)
    assert rows["grad_norm"].tolist()[:3] == rows["grad_norm_all"].tolist()[:3] == [10.0] * 3
    # (3, 4), (0, 0), (-3, -4), (-6, -8).
    assert rows["weight_norm_all"].tolist() == [5.0, 0.0, 5.0, 10.0]
    assert rows["update_norm_all"].tolist()[1:] == [5.0] * 3
    assert np.isnan(rows["update_norm_all"][0]) and np.isnan(rows["grad_norm"][3])
    assert rows["step"].tolist() == [0, 1, 2, 3]
    assert metadata["groups"] == ["all"] and metadata["complete"] is True
    assert metadata["row"] == "before_update" and metadata["gradients"] == "as applied"
    assert not list(path.parent.glob("*.partial"))


@pytest.mark.parametrize("make", [ADAMW, SGD, partial(torch.optim.Adam, fused=True)])
def test_plain_loop(path, make):
    model = model_of()
    optimizer = make(model.parameters())
    expected = Expected(layers(model))
    losses = []
    with GradientMonitor(model, optimizer, path, flush_seconds=0.0) as monitor:
        for inputs, targets in batches(40):
            optimizer.zero_grad()
            loss = loss_of(model(inputs), targets)
            loss.backward()
            losses.append(loss.item())
            monitor.log(train_loss=loss, learning_rate=0.1)
            expected.before()
            optimizer.step()
            if monitor.step % 10 == 0:
                monitor.log(test_accuracy=0.25)
    expected.before(gradients=False)
    rows, _ = rows_of(path)
    assert_rows(rows, expected.frame)
    np.testing.assert_allclose(rows["train_loss"][:40], losses, rtol=1e-6)
    # What is logged after an update is of the state after it.
    assert rows.index[rows["test_metric"].notna()].tolist() == [10, 20, 30, 40]
    assert rows["learning_rate"].notna().tolist() == [True] * 40 + [False]


def test_large_layers_are_not_less_exact(path):
    """In one sum, float32 is wrong by 4e-4 here."""
    model = nn.Linear(3000, 2000)
    with torch.no_grad():
        model.weight.normal_()
    optimizer = SGD(model.parameters())
    expected = Expected({"linear": list(model.parameters())})
    with GradientMonitor(model, optimizer, path, groups=lambda name, p: "linear"):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        expected.before()
        optimizer.step()
    expected.before(gradients=False)
    assert_rows(rows_of(path)[0], expected.frame, rtol=1e-6)


def test_gradient_accumulation(path):
    model, whole = model_of(), model_of()
    optimizer, other = ADAMW(model.parameters()), ADAMW(whole.parameters())
    expected = Expected(layers(whole))
    with GradientMonitor(model, optimizer, path):
        for inputs, targets in batches(8):
            for part in (slice(0, 16), slice(16, 32)):
                (loss_of(model(inputs[part]), targets[part]) / 2).backward()
            optimizer.step()
            optimizer.zero_grad()
            loss_of(whole(inputs), targets).backward()
            expected.before()
            other.step()
            other.zero_grad()
    expected.before(gradients=False)
    assert_rows(rows_of(path)[0], expected.frame, rtol=1e-4)


@pytest.mark.parametrize("early", [True, False])
def test_gradients_before_and_after_clipping(path, early):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    norms = []
    with GradientMonitor(model, optimizer, path) as monitor:
        for inputs, targets in batches(10):
            loss_of(model(inputs), targets).backward()
            if early:
                monitor.before_clipping()
            norms.append(float(clip_grad_norm_(model.parameters(), 0.05)))
            optimizer.step()
            optimizer.zero_grad()
    rows, metadata = rows_of(path)
    expected = norms if early else np.full(10, 0.05)
    assert min(norms) > 0.06
    np.testing.assert_allclose(rows["grad_norm"][:10], expected, rtol=1e-4)
    assert metadata["gradients"] == ("before clipping" if early else "as applied")


def test_gradients_of_a_run_are_read_one_way(path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    with GradientMonitor(model, optimizer, path) as monitor:
        loss_of(model(batches(1)[0][0]), batches(1)[0][1]).backward()
        optimizer.step()
        with pytest.raises(UserError, match="gradients of this run are read as applied"):
            monitor.before_clipping()


@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_grad_scaler(path, fused, clipped):
    """Unscaled norms; a step that overflows is no row, and the state's log survives it."""
    model = model_of()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14, growth_interval=4)
    expected = Expected(layers(model))
    n_skipped = 0
    with GradientMonitor(model, optimizer, path) as monitor:
        for step, (inputs, targets) in enumerate(batches(20)):
            loss = loss_of(model(inputs), targets)
            scale = scaler.get_scale()
            scaler.scale(loss).backward()
            overflows = step in (5, 6, 13)
            if overflows:
                model[0].weight.grad[0, 0] = torch.inf
            else:
                monitor.log(train_loss=loss)
                expected.before(scale)
            if clipped:
                scaler.unscale_(optimizer)
                monitor.before_clipping(scaler)
                clip_grad_norm_(model.parameters(), 1e-3)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            if overflows:
                n_skipped += 1
                assert scaler.get_scale() < scale
                # Of the state that stays as it was.
                monitor.log(kept=step)
    expected.before(gradients=False)
    rows, metadata = rows_of(path)
    assert n_skipped == 3 and len(rows) == 20 - 3 + 1 and monitor.step == 17
    assert_rows(rows, expected.frame)
    assert rows["train_loss"][:17].notna().all()
    assert rows["kept"].dropna().to_dict() == {5: 6.0, 11: 13.0}
    # Without a fused optimiser a step that is skipped is no step, and not seen.
    assert metadata["skipped_updates"] == (3 if fused else 0)


def test_clipping_scaled_gradients_is_an_error(path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    scaler = torch.amp.GradScaler("cpu")
    with GradientMonitor(model, optimizer, path) as monitor:
        scaler.scale(loss_of(model(batches(1)[0][0]), batches(1)[0][1])).backward()
        with pytest.raises(UserError, match="gradients are still scaled; call"):
            monitor.before_clipping(scaler)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(path, dtype):
    model = model_of(width=300).to(dtype)
    optimizer = SGD(model.parameters())
    expected = Expected(layers(model))
    with GradientMonitor(model, optimizer, path):
        for inputs, targets in batches(5):
            loss_of(model(inputs.to(dtype)), targets).backward()
            expected.before()
            optimizer.step()
            optimizer.zero_grad()
    expected.before(gradients=False)
    assert_rows(rows_of(path)[0], expected.frame)


def test_autocast(path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    expected = Expected(layers(model))
    with GradientMonitor(model, optimizer, path):
        for inputs, targets in batches(5):
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(model(inputs), targets)
            loss.backward()
            expected.before()
            optimizer.step()
            optimizer.zero_grad()
    expected.before(gradients=False)
    assert_rows(rows_of(path)[0], expected.frame)


def test_compiled_model(path):
    model = model_of()
    compiled = torch.compile(model, backend="eager")
    optimizer = ADAMW(model.parameters())
    expected = Expected(layers(model))
    with GradientMonitor(compiled, optimizer, path):
        for inputs, targets in batches(5):
            loss_of(compiled(inputs), targets).backward()
            expected.before()
            optimizer.step()
            optimizer.zero_grad()
    expected.before(gradients=False)
    rows, metadata = rows_of(path)
    assert_rows(rows, expected.frame)
    assert metadata["members"]["0"] == ["0.weight", "0.bias"]


def test_several_optimisers(path):
    """One row per round; the first group is of both optimisers."""
    model = model_of()
    weights = [p for p in model.parameters() if p.ndim == 2]
    biases = [p for p in model.parameters() if p.ndim == 1]
    optimizers = [SGD(weights), ADAMW(biases)]
    expected = Expected(layers(model))
    with GradientMonitor(model, optimizers, path) as monitor:
        for inputs, targets in batches(6):
            loss = loss_of(model(inputs), targets)
            loss.backward()
            expected.before()
            monitor.log(train_loss=loss)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        assert monitor.step == 6
    expected.before(gradients=False)
    rows, _ = rows_of(path)
    assert_rows(rows, expected.frame)
    assert rows["train_loss"][:6].notna().all()


def test_optimisers_that_take_turns(path):
    """The first steps twice before the second steps once: it has no gradient in the first row."""
    model = model_of()
    one, two = (SGD(model[place].parameters()) for place in (0, 2))
    with GradientMonitor(model, [one, two], path):
        for turn, (inputs, targets) in enumerate(batches(6)):
            loss_of(model(inputs), targets).backward()
            one.step()
            if turn % 2:
                two.step()
            one.zero_grad()
            two.zero_grad()
    rows, _ = rows_of(path)
    assert rows["grad_norm_2"].notna().tolist() == [False, True, False, True, False, True, False]
    assert rows["grad_norm_0"].notna().tolist() == [True] * 6 + [False]
    assert (rows["update_norm_2"].to_numpy()[[1, 3, 5]] == 0).all()


def test_frozen_and_shared_parameters(path):
    """Tied weights count once; what is frozen is named and not watched."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(7, 5)
            self.mid = nn.Linear(5, 5)
            self.head = nn.Linear(5, 7, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, tokens):
            return self.head(torch.tanh(self.mid(self.embed(tokens))))

    torch.manual_seed(0)
    model = Tied()
    model.mid.bias.requires_grad_(False)
    optimizer = ADAMW(model.parameters())
    expected = Expected({"embed": [model.embed.weight], "mid": [model.mid.weight]})
    with GradientMonitor(model, optimizer, path) as monitor:
        for _ in range(4):
            tokens = torch.randint(7, (20,))
            loss_of(model(tokens), tokens.flip(0)).backward()
            expected.before()
            optimizer.step()
            optimizer.zero_grad()
        assert monitor.groups.names == ["embed", "mid"]
    expected.before(gradients=False)
    rows, metadata = rows_of(path)
    assert_rows(rows, expected.frame)
    assert metadata["frozen"] == ["mid.bias"]
    assert metadata["members"] == {"embed": ["embed.weight"], "mid": ["mid.weight"]}


def test_a_layer_without_a_gradient_has_none(path):
    model = model_of()
    optimizer = SGD(model.parameters())
    expected = Expected(layers(model))
    with GradientMonitor(model, optimizer, path):
        for step in range(4):
            used = model(torch.ones(2, 6)) if step % 2 else model[0](torch.ones(2, 6))
            used.sum().backward()
            expected.before()
            optimizer.step()
            optimizer.zero_grad()
    expected.before(gradients=False)
    rows, _ = rows_of(path)
    assert_rows(rows, expected.frame)
    assert rows["grad_norm_2"].notna().tolist() == [False, True, False, True, False]


def test_optimiser_with_a_closure(path):
    """L-BFGS calls the closure many times; the first is at the row's state."""
    model = model_of()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    inputs, targets = batches(1)[0]
    norms = []
    with GradientMonitor(model, optimizer, path) as monitor:
        for _ in range(3):
            calls = []

            def closure(calls=calls):
                optimizer.zero_grad()
                loss = loss_of(model(inputs), targets)
                loss.backward()
                calls.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm())
                return loss

            optimizer.step(closure)
            norms.append(float(calls[0]))
            assert len(calls) > 1
        assert monitor.step == 3
    np.testing.assert_allclose(rows_of(path)[0]["grad_norm"][:3], norms, rtol=1e-6)


def test_parameters_that_move_in_memory_are_followed(path):
    model = model_of()
    optimizer = SGD(model.parameters())
    expected = Expected(layers(model))
    with GradientMonitor(model, optimizer, path):
        for step, (inputs, targets) in enumerate(batches(6)):
            if step == 3:
                for parameter in model.parameters():
                    parameter.data = parameter.data.clone().mul_(2)
            loss_of(model(inputs), targets).backward()
            expected.before()
            optimizer.step()
            optimizer.zero_grad()
    expected.before(gradients=False)
    assert_rows(rows_of(path)[0], expected.frame)


@pytest.mark.parametrize("layout", ["transposed", "channels_last"])
def test_layouts_in_memory(path, layout):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
    else:
        model[2].weight = nn.Parameter(torch.randn(16, 2).T)
    optimizer = SGD(model.parameters())
    expected = Expected(layers(model))
    with GradientMonitor(model, optimizer, path):
        for _ in range(4):
            model(torch.randn(5, 3, 4, 4)).square().mean().backward()
            expected.before()
            optimizer.step()
            optimizer.zero_grad()
    expected.before(gradients=False)
    assert_rows(rows_of(path)[0], expected.frame)


def test_the_device_path_measures_the_same(path, monkeypatch):
    """The accelerator's program, on the CPU: small layers, where its sums are exact enough."""
    from grokscope.monitor import readings
    from grokscope.monitor.norms import DeviceNorms

    monkeypatch.setattr(readings, "make_norms", DeviceNorms)
    model = model_of()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    expected = Expected(layers(model))
    with GradientMonitor(model, optimizer, path, flush_seconds=0.0):
        for step, (inputs, targets) in enumerate(batches(12)):
            scaler.scale(loss_of(model(inputs), targets)).backward()
            if step == 4:
                model[2].bias.grad[0] = torch.nan
            else:
                expected.before(scaler.get_scale())
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
    expected.before(gradients=False)
    assert_rows(rows_of(path)[0], expected.frame)


@pytest.mark.parametrize("has_gradient", [True, False])
def test_a_parameter_that_changes_its_size_is_refused(path, has_gradient):
    """What is read by address must be as large as it was."""
    model = nn.Linear(64, 64, bias=False)
    optimizer = SGD(model.parameters())
    monitor = GradientMonitor(model, optimizer, path)
    monitor.attach()
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    model.weight.data = torch.zeros(2, 2)
    model.weight.grad = torch.ones(2, 2) if has_gradient else None
    with pytest.raises(UserError, match="parameters that change their size"):
        optimizer.step()
    monitor.close(complete=False)


def test_a_device_whose_norms_are_wrong_is_refused(path, monkeypatch):
    """On a CPU torch's own sum of 10 million squares is."""
    from grokscope.monitor import readings
    from grokscope.monitor.norms import DeviceNorms

    monkeypatch.setattr(readings, "make_norms", DeviceNorms)
    model = nn.Linear(4000, 2500, bias=False)
    with torch.no_grad():
        model.weight.normal_()
    optimizer = SGD(model.parameters())
    monitor = GradientMonitor(model, optimizer, path)
    monitor.attach()
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    with pytest.raises(UserError, match="device cpu: its norms differ from float64"):
        monitor.close()


# Of torch itself, while it traces its own optimiser.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_compiled_step(path):
    model = model_of()
    optimizer = SGD(model.parameters())
    expected = Expected(layers(model))
    step = torch.compile(lambda: optimizer.step(), backend="eager")
    with GradientMonitor(model, optimizer, path):
        for inputs, targets in batches(4):
            loss_of(model(inputs), targets).backward()
            expected.before()
            step()
            optimizer.zero_grad()
    expected.before(gradients=False)
    assert_rows(rows_of(path)[0], expected.frame)


def test_training_is_not_changed(path):
    """The same parameters to the last bit, watched or not."""
    watched, plain = model_of(), model_of()
    train(watched, ADAMW(watched.parameters()), path)
    optimizer = ADAMW(plain.parameters())
    for inputs, targets in batches(30):
        loss_of(plain(inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    for one, other in zip(watched.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_hooks_are_gone_afterwards(path):
    model = model_of()
    optimizer = ADAMW(model.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, optimizer, path)
    assert not optimizer._optimizer_step_pre_hooks
