"""Columns: which column of a log is which column of a trace.

The configuration says so, or the format does, or the name is one that people use. Where several
columns have usual names, none is guessed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from grokscope.data.logs.rows import LogError, Rows
from grokscope.runs.imported import GROUP_COLUMNS, PLAIN_COLUMNS
from grokscope.runs.sources import ColumnSource

_TRAIN = ("train", "training")
_TEST = ("test", "val", "valid", "validation", "eval", "evaluation", "heldout", "dev")
_LOSS = ("loss", "nll", "ce_loss")
_METRIC = ("metric", "acc", "accuracy", "top1")
# Usual names, written small and with _ for every other sign.
_USUAL: dict[str, tuple[str, ...]] = {
    "step": (
        *("step", "global_step", "trainer_global_step", "train_global_step", "iteration"),
        *("iter", "iterations", "update", "updates", "num_updates", "optimizer_step", "steps"),
    ),
    "run": ("run", "run_id", "run_name", "trial", "trial_id"),
    "train_loss": ("loss", *(f"{a}_{b}" for a in _TRAIN for b in _LOSS), "train_loss_step"),
    "test_loss": tuple(f"{a}_{b}" for a in _TEST for b in _LOSS),
    "train_metric": tuple(f"{a}_{b}" for a in _TRAIN for b in _METRIC),
    "test_metric": tuple(f"{a}_{b}" for a in _TEST for b in _METRIC),
    "grad_norm": (
        *("grad_norm", "gradient_norm", "total_grad_norm", "grad_norm_total"),
        *("train_grad_norm", "grad_2_0_norm_total"),
    ),
    "weight_norm": ("weight_norm", "total_weight_norm", "weight_norm_total", "param_norm"),
}
# W&B counts calls of log() in it, which is no optimiser step where the loop logs one as well.
_WANDB_STEP = "_step"
_GROUPS = {
    "grad_norm_": re.compile(r"(?:train/)?grad(?:ient)?(?:_2\.0)?_norm[_/.](.+)"),
    "weight_norm_": re.compile(r"(?:weight|param(?:eter)?)_norm[_/.](.+)"),
    "update_norm_": re.compile(r"update_norm[_/.](.+)"),
}


def plain(name: str) -> str:
    """A name in small letters, every other sign an underscore."""
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message: the names most alike, and all there are."""
    names = list(known)
    by_plain = {plain(each): each for each in names}
    near = difflib.get_close_matches(plain(name), by_plain, 3, 0.5)
    hint = f"did you mean {' or '.join(repr(by_plain[each]) for each in near)}? " if near else ""
    shown = ", ".join(names[:30]) + (", ..." if len(names) > 30 else "")
    return f"{hint}It has {shown}"


def find_columns(where: str, rows: Rows, given: Mapping[str, ColumnSource]) -> dict[str, str]:
    """Where each column of the trace stands, by its name in the trace; ``step`` and ``run`` too.

    Parameters
    ----------
    where
        The log, for messages.
    given
        What the configuration says.

    Raises
    ------
    LogError
        If a named column is not there, if there are several of usual names, or no step.
    """
    wanted = {name: of.column for name, of in given.items()}
    for name, column in wanted.items():
        if column is not None and column not in rows.columns:
            raise LogError(
                f"{where}: columns.{name}: the log has no column {column!r}; "
                f"{nearest(column, rows.columns)}"
            )
    found = {name: column for name, column in wanted.items() if column is not None}
    for name, column in rows.names.items():
        if name not in wanted:
            found[name] = column
    taken = set(found.values())
    for name, usual in _USUAL.items():
        if name in wanted or name in found:
            continue
        # A column of that very name is meant, whatever else has a usual one.
        those = [each for each in rows.columns if plain(each) in usual and each not in taken]
        those = [name] if name in those else those
        if name == "step" and not those and _WANDB_STEP in rows.numbers:
            those = [_WANDB_STEP]
        if len(those) > 1:
            raise LogError(
                f"{where}: {' and '.join(map(repr, those))} may each be {name}; say which: "
                f"columns: {{{name}: {those[0]}}}"
            )
        if those:
            found[name] = those[0]
            taken.add(those[0])
    found |= _groups(where, rows, wanted, taken)
    if "step" not in found:
        unnamed = [name for name in rows.columns if not name or name.lower().startswith("unnamed")]
        hint = " (an index without a name counts rows, not steps)" if unnamed else ""
        raise LogError(
            f"{where}: no column of steps{hint}; allowed: one named step, or "
            f"columns: {{step: NAME}}. {nearest('step', rows.columns)}"
        )
    texts = [name for name in found if name != "run" and found[name] in rows.texts]
    if texts:
        column = found[texts[0]]
        first = next((each for each in rows.texts[column] if each), None)
        raise LogError(
            f"{where}: column {column!r}, taken as {texts[0]}, has {first!r}; allowed: numbers"
        )
    return found


def _groups(
    where: str, rows: Rows, wanted: Mapping[str, str | None], taken: set[str]
) -> dict[str, str]:
    """Norms of groups of parameters, in the order of the log."""
    found: dict[str, str] = {}
    for column in rows.numbers:
        if column in taken:
            continue
        for prefix, pattern in _GROUPS.items():
            match = pattern.fullmatch(column)
            if match is None:
                continue
            name = prefix + re.sub(r"[^A-Za-z0-9_]", "_", match[1])
            if name in found:
                raise LogError(
                    f"{where}: {found[name]!r} and {column!r} would both be {name}; say which: "
                    f"columns: {{{name}: NAME}}"
                )
            if name not in wanted:
                found[name] = column
    return found


def in_order(names: Iterable[str]) -> list[str]:
    """Columns of a trace: the plain ones, then the groups' as they come."""
    there = list(names)
    order = [name for name in PLAIN_COLUMNS if name in there]
    for prefix in GROUP_COLUMNS:
        order += [name for name in there if name.startswith(prefix) and name not in order]
    return order
