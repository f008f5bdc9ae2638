"""Groups: which parameters are watched, and under which names.

Input: a model, its optimisers and a rule. Output: one group per name, in the order of the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim import Optimizer

from grokscope.core.errors import UserError

# None: one group per module that holds parameters; a number: so many parts of its path.
Grouping = int | str | Callable[[str, Tensor], str | None] | None
# What a rule gives no name.
OTHER = "other"
# What wrappers put before or into the names of parameters.
_WRAPPERS = re.compile(r"(^|\.)(module|_orig_mod)(?=\.)")


@dataclass(frozen=True)
class Watched:
    """The parameters of one optimiser that are watched.

    Attributes
    ----------
    parameters : list of Tensor
    group : list of int
        Of each parameter, the place of its group's name in ``names``.
    """

    parameters: list[Tensor]
    group: list[int]


@dataclass(frozen=True)
class Groups:
    """All groups of a model.

    Attributes
    ----------
    names : list of str
        In the order of the model; the last holds the output layer, if that is its last module.
    members : dict
        Names of the parameters of each group.
    frozen : list of str
        Parameters that are not watched: without a gradient, or in no optimiser.
    watched : list of Watched
        By optimiser.
    """

    names: list[str]
    members: dict[str, list[str]]
    frozen: list[str]
    watched: list[Watched]


def plain_name(name: str) -> str:
    """Name of a parameter without those of the wrappers DistributedDataParallel and compile.

    >>> plain_name("module._orig_mod.layers.0.weight")
    'layers.0.weight'
    """
    return _WRAPPERS.sub("", name).lstrip(".")


def group_name(name: str, parameter: Tensor, rule: Grouping) -> str:
    """Group of a parameter.

    >>> group_name("blocks.0.attn.q.weight", None, None)
    'blocks.0.attn.q'
    >>> group_name("blocks.0.attn.q.weight", None, 2)
    'blocks.0'
    >>> group_name("blocks.0.attn.q.weight", None, r"attn|mlp")
    'attn'
    >>> group_name("blocks.0.attn.q.weight", None, r"blocks[.](\\d+)")
    '0'
    """
    if callable(rule):
        found = rule(name, parameter)
        if found is not None and not isinstance(found, str):
            raise UserError(f"groups: the function gave {found!r} for {name}, not a name or None")
        return found or OTHER
    if isinstance(rule, str):
        match = re.search(rule, name)
        return (match[1] if match.re.groups else match[0]) if match else OTHER
    path = name.split(".")[:-1] or [name]
    return ".".join(path if rule is None else path[:rule])


def group_parameters(model: nn.Module, optimizers: Sequence[Optimizer], rule: Grouping) -> Groups:
    """Groups of the parameters that the optimisers change.

    A parameter that modules share counts once, in the group of its first name.

    Raises
    ------
    UserError
        If a parameter is in two optimisers, or in one and not in the model; if the rule cannot
        be used; if nothing is to be watched.
    """
    if isinstance(rule, bool) or (isinstance(rule, int) and rule < 1):
        raise UserError(f"groups: {rule} is not a number of parts of a module's path from 1 on")
    if isinstance(rule, str):
        try:
            re.compile(rule)
        except re.error as error:
            raise UserError(f"groups: {rule!r} is not a regular expression: {error}") from None
    owner: dict[int, int] = {}
    for number, optimizer in enumerate(optimizers):
        for parameter in (p for entry in optimizer.param_groups for p in entry["params"]):
            if owner.setdefault(id(parameter), number) != number:
                raise UserError("optimizer: two of the optimisers hold the same parameter")
    names: list[str] = []
    members: dict[str, list[str]] = {}
    frozen: list[str] = []
    watched = [Watched([], []) for _ in optimizers]
    for full, parameter in model.named_parameters():
        name = plain_name(full)
        place = owner.pop(id(parameter), None)
        if place is None or not parameter.requires_grad:
            frozen.append(name)
            continue
        group = group_name(name, parameter, rule)
        if group not in members:
            names.append(group)
        members.setdefault(group, []).append(name)
        watched[place].parameters.append(parameter)
        watched[place].group.append(names.index(group))
    if owner:
        raise UserError(
            f"optimizer: {len(owner)} of its parameters are not among those of the model; make "
            "the optimiser of the parameters of the model that is watched"
        )
    for number, entry in enumerate(watched):
        if not entry.parameters:
            raise UserError(f"optimizer: number {number} has no parameter that requires gradients")
    return Groups(names, members, frozen, watched)
