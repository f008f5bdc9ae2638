"""A user's own network: made by a function of a file, and checked before it is trained."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable

import torch
from torch import Tensor, nn

from grokscope.runs.modules import ModuleError, module_code, split_module
from grokscope.runs.spec import RunSpec
from grokscope.train.networks.base import Network, TaskDescription


def make_own(spec: RunSpec, task: TaskDescription) -> Network:
    """The module that the run's factory makes, seeded by ``init_seed``.

    Layers are the submodules that own parameters, under their names in the module; ranks are those
    of all parameters with two dimensions, Muon's are those of them that are not of an embedding,
    nor the last.

    Raises
    ------
    ModuleError
        Naming the file and what would be right: if it changed since the workflow was planned, the
        factory or the network raises an error, makes anything but a module with parameters, or the
        network's output has another shape, is not finite or leaves a parameter without gradient.
    """
    assert spec.module is not None
    if module_code(spec.module) != spec.module_code:
        raise ModuleError(f"module: {spec.module} was edited since; start the workflow again")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.init_seed)
        module = _make(spec.module, task)
        if not isinstance(module, nn.Module):
            raise ModuleError(
                f"module: {spec.module} returned {type(module).__name__}; a torch.nn.Module is "
                "needed"
            )
        _check(spec.module, module, task)
    parameters = dict(module.named_parameters())
    layers: dict[str, list[str]] = {}
    for name in parameters:
        layers.setdefault(_owner(name), []).append(name)
    matrices = [name for name, value in parameters.items() if value.ndim == 2]
    embeddings = {
        f"{name}.weight"
        for name, inner in module.named_modules()
        if isinstance(inner, nn.Embedding)
    }
    names = {name.removesuffix(".weight"): name for name in matrices}
    hidden = [name for name in matrices[:-1] if name not in embeddings]
    return Network(module, layers, names, hidden)


def _owner(parameter: str) -> str:
    """Layer of a parameter: the submodule that owns it; its own name if that is the whole."""
    return parameter.rpartition(".")[0] or parameter


def _make(module: str, task: TaskDescription) -> object:
    """What the factory returns."""
    path, name = split_module(module)
    # A name that no installed package has.
    location = importlib.util.spec_from_file_location("grokscope_user_module", path)
    assert location is not None and location.loader is not None
    loader, loaded = location.loader, importlib.util.module_from_spec(location)

    def call() -> object:
        loader.exec_module(loaded)
        return getattr(loaded, name)(task)

    return _trying(module, "", call)


def _trying(module: str, when: str, call: Callable[[], object]) -> object:
    """What a call of the user's code returns; its error as one that names file and line."""
    try:
        return call()
    except Exception as error:
        path = split_module(module)[0]
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        place = f" (line {lines[-1]})" if lines else ""
        reason = " ".join(str(error).split())
        raise ModuleError(
            f"module: {module} raised {type(error).__name__}{when}{place}: {reason}"
        ) from error


def _check(name: str, module: nn.Module, task: TaskDescription) -> None:
    """One pass forward and backward of two samples, without a trace in the module's state."""
    parameters = dict(module.named_parameters())
    if not parameters:
        raise ModuleError(f"module: {name} made a module without parameters; nothing to train")
    state = {key: value.clone() for key, value in module.state_dict().items()}
    inputs = torch.zeros(2, task.n_inputs, dtype=torch.int64 if task.symbolic else None)
    if task.symbolic:
        inputs[1] = task.n_symbols - 1
    output = _trying(name, f" for inputs of shape {tuple(inputs.shape)}", lambda: module(inputs))
    wanted = (2, task.n_outputs)
    if not isinstance(output, Tensor) or tuple(output.shape) != wanted:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ModuleError(
            f"module: {name} returned {found} for inputs of shape {tuple(inputs.shape)}; "
            f"{wanted} is needed: (samples, n_outputs)"
        )
    if not output.isfinite().all():
        raise ModuleError(f"module: {name}: its output has infinite values or NaN at the start")
    if not output.requires_grad:
        raise ModuleError(f"module: {name}: no parameter of it has an influence on its output")
    # A weighted sum: that of a softmax or a normalised output would be constant.
    torch.autograd.backward((output * torch.randn_like(output)).sum())
    without = [key for key, value in parameters.items() if value.grad is None]
    if without:
        raise ModuleError(
            f"module: {name}: the output does not depend on {', '.join(without)}; use these "
            "parameters, or make them buffers (register_buffer)"
        )
    module.zero_grad(set_to_none=True)
    module.load_state_dict(state)
