"""Runs: specification, name and trace path of a training.

No numerics are imported here: the Snakefile expands tens of thousands of runs at parse time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from typing import Any, NamedTuple

from grokscope.runs.names import DECIMALS, SETTINGS, TRUTHS, WORDS

KEY_COLUMNS = ("study", "task", "depth", "train_fraction", "weight_decay", "width", "seed")


def key_columns(columns: Iterable[str]) -> list[str]:
    """Names of the key columns among those of a table of runs: the fixed and the varied ones."""
    present = set(columns)
    varied = [name for name in SETTINGS if name in present]
    return [*KEY_COLUMNS[:-1], *varied, KEY_COLUMNS[-1]]


def cell_columns(columns: Iterable[str]) -> list[str]:
    """The same without the seed: the columns that the runs of a cell share."""
    return key_columns(columns)[:-1]


def decimal_string(value: float | str) -> str:
    """Canonical decimal notation of a number, without exponent: 0.10 -> "0.1", 1 -> "1.0".

    Train fractions and weight decays travel as such strings from the config to paths, so one
    value has one path.
    """
    text = format(Decimal(repr(float(value))), "f")
    return text if "." in text else text + ".0"


class Panel(NamedTuple):
    """Study, task and depth: the runs that are analysed together."""

    study: str
    task: str
    depth: int


class RunKey(NamedTuple):
    """The identity of a run.

    Decimals are canonical strings. ``settings`` are the name and value, as text, of each further
    setting that the study's grids vary; "none" where the run's task does not use it. Of a run
    imported from a log, what the log does not tell is "none", too; its depth then is 0, since a
    panel has one.
    """

    study: str
    task: str
    depth: int
    train_fraction: str
    weight_decay: str
    width: int | None
    seed: int
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def panel(self) -> Panel:
        return Panel(self.study, self.task, self.depth)

    @property
    def parameters(self) -> dict[str, str]:
        """Everything that distinguishes the runs of a study, as text, in path order."""
        fixed = {name: _as_text(getattr(self, name)) for name in KEY_COLUMNS[1:-1]}
        return fixed | dict(self.settings) | {"seed": str(self.seed)}

    @property
    def cell(self) -> tuple[str, ...]:
        """Values that the runs of a cell share: everything but the seed."""
        return (self.study, *list(self.parameters.values())[:-1])

    @property
    def path(self) -> str:
        """Path of the run's trace, relative to the working directory."""
        folders = "/".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{TRACES}/{self.study}/{folders}.parquet"

    def row(self) -> dict[str, Any]:
        """Values of the key columns in tables: decimals as numbers, None for "none"."""
        values: dict[str, Any] = {name: getattr(self, name) for name in KEY_COLUMNS[:-1]}
        for name in ("train_fraction", "weight_decay"):
            values[name] = None if values[name] == UNKNOWN else float(values[name])
        for name, text in self.settings:
            values[name] = None if text == UNKNOWN else _FROM_TEXT.get(name, int)(text)
        return values | {"seed": self.seed}

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.named.items())

    @property
    def named(self) -> dict[str, str]:
        """The study and all parameters, as text."""
        return {"study": self.study} | self.parameters


TRACES = "results/traces"
# A setting that the task does not use, or that the log of an imported run does not tell.
UNKNOWN = "none"
# How a setting's text becomes a value of its key column; whole numbers unless named.
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(WORDS, str),
    **dict.fromkeys(DECIMALS, float),
    **dict.fromkeys(TRUTHS, {"true": True, "false": False}.get),
}


def _as_text(value: Any) -> str:
    """A varied setting in a path: "none", "0.001", "0.9,0.98", "97"."""
    if value is None:
        return UNKNOWN
    if isinstance(value, tuple):
        return ",".join(map(_as_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return decimal_string(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class EarlyStop:
    """Early stopping rule: all `metrics` at or above `threshold` for `hold_steps`."""

    metrics: tuple[str, ...]
    threshold: float
    hold_steps: int

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> EarlyStop:
        """From a mapping read from JSON or YAML; ValueError if its fields differ."""
        if set(values) != {"metrics", "threshold", "hold_steps"}:
            raise ValueError(f"not an early stopping rule: {dict(values)}")
        return cls(**{**values, "metrics": tuple(values["metrics"])})


@dataclass(frozen=True)
class RunSpec:
    """Everything that a training depends on besides code and libraries.

    Made by :func:`grokscope.run_spec`. Parameters that the task, the network or the optimiser does
    not use are None, so that changing them does not train the run again. Fields with a default are
    left out of the JSON where they have it: those of a multilayer perceptron trained by full-batch
    AdamW.

    Attributes
    ----------
    study
        Name of the study that the run belongs to.
    task
        Name of the registered task.
    depth, width
        Number of linear layers, the output's included, and units of each hidden one; of a
        transformer its blocks and ``d_model``.
    train_fraction, weight_decay
        Share of the data used for training, and the optimiser's weight decay, as canonical decimal
        strings.
    seed, data_seed, init_seed
        Seed of the run; those of data and split, and of the initial weights.
    p, samples
        Modulus of modular tasks, number of samples of regressions.
    encoding, embedding_dim
        How a pair of symbols enters the network, and the dimensions of learned embeddings.
    learning_rate, betas
        Learning rate, and the moment decay rates of the optimisers that have them.
    steps
        Optimiser updates.
    test_every, rank_every
        Cadences (steps) of the test set's evaluation and of the ranks; None: no ranks.
    rank_tolerance
        Numerical rank counts the singular values above this share of the largest.
    early_stop
        When the run ends before its last update; None: never.
    model
        ``mlp``, ``transformer`` or ``module``.
    module, module_code
        A user's own network: ``path/to/file.py:factory``, and the hash of the file's syntax tree.
    heads, mlp_ratio, layer_norm, activation, biases, initialisation, tied
        Blocks of a transformer, and how its weights begin and are shared.
    equals_token, positions, causal, pooling
        What a transformer sees of a pair of symbols, and what is read out.
    init_scale
        Factor of all initial weights.
    optimizer, momentum, nesterov, muon_learning_rate, warmup_steps, schedule, batch_size
        How it is trained; None for a batch size: all samples.
    gradient_filter, filter_decay, filter_strength
        What is added to the gradient.
    loss, dtype
        What is minimised, and the numbers of parameters and activations.
    varied
        Names of the settings that belong to the run's identity because its study varies them.
        They affect the run's name alone, so they are part of neither comparisons nor traces.
    """

    study: str
    task: str
    depth: int
    train_fraction: str
    weight_decay: str
    width: int
    seed: int
    data_seed: int
    init_seed: int
    p: int | None
    samples: int | None
    encoding: str
    embedding_dim: int | None
    learning_rate: float
    betas: tuple[float, float] | None
    steps: int
    test_every: int
    rank_every: int | None
    rank_tolerance: float
    early_stop: EarlyStop | None
    model: str = "mlp"
    module: str | None = None
    module_code: str | None = None
    heads: int | None = None
    mlp_ratio: float | None = None
    layer_norm: str | None = None
    activation: str | None = None
    biases: str | None = None
    initialisation: str | None = None
    tied: bool | None = None
    equals_token: bool | None = None
    positions: bool | None = None
    causal: bool | None = None
    pooling: str | None = None
    init_scale: float = 1.0
    optimizer: str = "adamw"
    momentum: float | None = None
    nesterov: bool | None = None
    muon_learning_rate: float | None = None
    warmup_steps: int = 0
    schedule: str = "constant"
    batch_size: int | None = None
    gradient_filter: str = "without"
    filter_decay: float | None = None
    filter_strength: float | None = None
    loss: str = "standard"
    dtype: str = "float32"
    varied: tuple[str, ...] = field(default=(), compare=False)

    @property
    def key(self) -> RunKey:
        """What tells the run from the others of its configuration."""
        settings = tuple((name, _as_text(getattr(self, name))) for name in self.varied)
        fixed = {name: getattr(self, name) for name in KEY_COLUMNS}
        return RunKey(**fixed, settings=settings)

    def to_json(self, with_varied: bool = False) -> str:
        """One line of JSON with sorted keys; equal specifications give equal strings.

        Parameters
        ----------
        with_varied
            Whether to include the names of varied settings, which jobs need.

        Returns
        -------
        str
            JSON.
        """
        # Not asdict: it makes deep copies, and a plan has tens of thousands of specifications.
        values = {name: getattr(self, name) for name in _REQUIRED}
        for name, usual in _USUAL.items():
            value = getattr(self, name)
            if value != usual:
                values[name] = value
        if self.early_stop is not None:
            values["early_stop"] = vars(self.early_stop)
        if with_varied and self.varied:
            values["varied"] = self.varied
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """Inverse of :meth:`to_json`.

        Parameters
        ----------
        text
            Of :meth:`to_json`.

        Returns
        -------
        RunSpec
            Equal to the one that the text was made of.

        Raises
        ------
        ValueError
            If a field is missing or unknown.
        """
        return cls.from_values(json.loads(text))

    @classmethod
    def from_values(cls, values: Any) -> RunSpec:
        """From a mapping read from JSON.

        Parameters
        ----------
        values
            Every field but ``varied``, which may be left out.

        Returns
        -------
        RunSpec
            With tuples for lists.

        Raises
        ------
        ValueError
            If a field is missing or unknown.
        """
        found = set(values) if isinstance(values, dict) else {type(values).__name__}
        wrong = found - _REQUIRED - set(_USUAL) - {"varied"} | _REQUIRED - found
        if wrong:
            raise ValueError(f"not a run specification; fields differ: {sorted(wrong)}")
        stop, betas = values["early_stop"], values["betas"]
        return cls(
            **values
            | {
                "betas": None if betas is None else tuple(betas),
                "early_stop": None if stop is None else EarlyStop.from_values(stop),
                "varied": tuple(values.get("varied", ())),
            }
        )


_REQUIRED = frozenset(item.name for item in fields(RunSpec) if item.default is MISSING)
# What a run has whose specification does not say.
_USUAL = {item.name: item.default for item in fields(RunSpec) if item.name not in _REQUIRED}
del _USUAL["varied"]


def read_specs(text: str) -> list[RunSpec]:
    """Specifications from a JSON list, the form in which jobs get them."""
    return [RunSpec.from_values(values) for values in json.loads(text)]


def panels(keys: Iterable[RunKey]) -> dict[Panel, list[RunKey]]:
    """Runs of each panel, in the order given."""
    grouped: dict[Panel, list[RunKey]] = {}
    for key in keys:
        grouped.setdefault(key.panel, []).append(key)
    return grouped
