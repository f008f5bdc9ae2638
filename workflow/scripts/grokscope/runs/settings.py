"""Settings: the validated configuration as typed, frozen values.

Types only; keys, ranges, defaults and descriptions are in ``workflow/schemas/
config.schema.yaml``. Input: mappings that :mod:`grokscope.runs.config` has checked and completed,
or JSON that :func:`Analysis.to_json` wrote for a rule's parameters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from grokscope.runs.decoding import decode
from grokscope.runs.sources import Source
from grokscope.runs.spec import EarlyStop

# ------------------------------------------------------------------- analysis


@dataclass(frozen=True)
class OnsetSettings:
    """Sustained threshold crossings of a metric."""

    evaluations: int
    train_threshold: float
    test_thresholds: tuple[float, ...]
    event_threshold: float
    lost_below: float


@dataclass(frozen=True)
class TransitionSettings:
    """Gradient peaks and metric transitions (Du & Ji 2026)."""

    skip_fraction: float
    savgol_window: int
    savgol_order: int
    max_lag: int
    replication_steps: int


@dataclass(frozen=True)
class AlarmSettings:
    """The Gradient Acceleration Index and its alarms."""

    smoothing_window: int
    sigma_window: int | None
    threshold: float
    refractory: int


@dataclass(frozen=True)
class DetectorSettings:
    """The other detectors, and the resolution (steps) at which all are compared."""

    resolution: int
    window: int
    cusum_drift: float


@dataclass(frozen=True)
class CauseSettings:
    """Definitions of the visible causes of an alarm."""

    window: int
    spike_factor: float
    collapse_share: float


@dataclass(frozen=True)
class MultiverseSettings:
    """Analysis choices under which every headline number is measured again."""

    smoothing: tuple[str, ...]
    sigma: tuple[str, ...]
    sign: tuple[str, ...]
    norm: tuple[str, ...]
    windows: tuple[int, ...]


@dataclass(frozen=True)
class RankSettings:
    """Windows around an onset in which ranks are compared (steps)."""

    before: int
    after: int


@dataclass(frozen=True)
class PhaseSettings:
    """The four phases; an onset delayed by more than `gap` (steps) is an event."""

    threshold: float
    gap: int


@dataclass(frozen=True)
class EvaluationSettings:
    """Alarms against onsets, and all intervals."""

    lead_window: tuple[int, int]
    horizons: tuple[int, ...]
    minimum_lead: int
    primary_horizon: int
    development_seeds: tuple[int, ...]
    surrogates: int
    confidence: float
    seed: int

    @property
    def alpha(self) -> float:
        """Significance level: 1 - confidence, without floating-point error."""
        return round(1 - self.confidence, 12)

    @property
    def primary_window(self) -> tuple[int, int]:
        """Lead window (steps) by which curves are drawn and detectors are ranked."""
        return self.minimum_lead, self.primary_horizon


@dataclass(frozen=True)
class Analysis:
    """Every threshold and window of the analyses, by section.

    Made by :func:`grokscope.default_analysis`. A rule's parameters contain the sections that the
    rule may depend on. Reading another one is an error, since a change of it would not rerun the
    rule.

    Attributes
    ----------
    onset
        What counts as memorised and as generalised.
    transitions
        Gradient peaks, metric transitions and their lags.
    alarms
        The Gradient Acceleration Index: its windows, level and refractory period.
    detectors
        The other detectors, and the resolution at which all are compared.
    causes
        What counts as the visible cause of an alarm.
    multiverse
        Analysis choices under which headline numbers are measured again.
    rank
        Windows before and after an onset.
    phases
        Level and gap of the four phases.
    evaluation
        Windows, development seeds, surrogates and confidence.
    """

    onset: OnsetSettings
    transitions: TransitionSettings
    alarms: AlarmSettings
    detectors: DetectorSettings
    causes: CauseSettings
    multiverse: MultiverseSettings
    rank: RankSettings
    phases: PhaseSettings
    evaluation: EvaluationSettings

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the settings have no section {name!r}; a rule must name it among its parameters"
        )

    @classmethod
    def from_mapping(cls, sections: Mapping[str, Mapping[str, Any]]) -> Self:
        """From completed sections of the config, all or some.

        Parameters
        ----------
        sections
            Values of every field, by section.

        Returns
        -------
        Analysis
            Without the sections that were not given.

        Raises
        ------
        ValueError
            If a section is unknown, or a field of one is missing or unknown.
        """
        unknown = set(sections) - set(_SECTIONS)
        if unknown:
            raise ValueError(f"no such sections of the analysis settings: {sorted(unknown)}")
        made = cls.__new__(cls)
        for name, values in sections.items():
            object.__setattr__(made, name, decode(_SECTIONS[name], values))
        return made

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`.

        Parameters
        ----------
        text
            Of :meth:`to_json`.

        Returns
        -------
        Analysis
            With the sections that are in the text.
        """
        return cls.from_mapping(json.loads(text))

    def to_json(self, sections: Iterable[str] | None = None) -> str:
        """One line of JSON with sorted keys; equal values give equal strings.

        Parameters
        ----------
        sections
            Names of the sections; None takes all.

        Returns
        -------
        str
            JSON.
        """
        names = _SECTIONS if sections is None else sections
        return json.dumps({name: asdict(getattr(self, name)) for name in names}, sort_keys=True)


_SECTIONS: dict[str, type[Any]] = {
    "onset": OnsetSettings,
    "transitions": TransitionSettings,
    "alarms": AlarmSettings,
    "detectors": DetectorSettings,
    "causes": CauseSettings,
    "multiverse": MultiverseSettings,
    "rank": RankSettings,
    "phases": PhaseSettings,
    "evaluation": EvaluationSettings,
}


# --------------------------------------------------------------------- studies


@dataclass(frozen=True)
class Grid:
    """Part of a study; its runs are the Cartesian product of its lists.

    Attributes
    ----------
    settings
        Values of further training settings that the grid varies, by name; each is then part of
        a run's identity.
    """

    tasks: tuple[str, ...]
    depths: tuple[int, ...]
    train_fractions: tuple[float, ...]
    weight_decays: tuple[float, ...]
    widths: tuple[int, ...]
    seeds: tuple[int, ...]
    steps: int
    settings: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class StudySettings:
    """A study: its kind, the claims it is judged by, and its runs.

    Attributes
    ----------
    grids
        Of runs that are trained; what they share follows. Empty where the runs are imported.
    source
        Logs that its runs are imported from; None where they are trained.
    """

    name: str
    kind: str
    claims: str | None
    source: Source | None
    grids: tuple[Grid, ...]
    p: int
    samples: int
    data_seed: int | None
    init_seed: int | None
    encoding: str
    embedding_dim: int
    learning_rate: float
    betas: tuple[float, float]
    model: str
    module: str | None
    heads: int
    mlp_ratio: float
    layer_norm: str
    activation: str
    biases: str
    initialisation: str
    tied: bool
    equals_token: bool
    positions: bool
    causal: bool
    pooling: str
    init_scale: float
    optimizer: str
    momentum: float
    nesterov: bool
    muon_learning_rate: float
    warmup_steps: int
    schedule: str
    batch_size: int | None
    gradient_filter: str
    filter_decay: float
    filter_strength: float
    loss: str
    dtype: str
    test_every: int
    rank_every: int | None
    rank_tolerance: float
    early_stop: EarlyStop | None


@dataclass(frozen=True)
class Configuration:
    """The whole configuration.

    Attributes
    ----------
    values
        The same as plain values with every default filled in, for the report.
    """

    studies: Mapping[str, StudySettings]
    analysis: Analysis
    store: str | None
    device: str
    tf32: bool
    runs_per_job: int | None
    checkpoint_seconds: float
    values: Mapping[str, Any]
