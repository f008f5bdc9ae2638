"""Palette: the colour of everything that is drawn; what has none is an error, never a fallback."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from grokscope.data.parts import has_order, layer_order
from grokscope.runs.tasks import TASKS

# Okabe & Ito (2008) for categories, Paul Tol's "muted" for layers, viridis for what is
# ordered: all three can be told apart with the common colour deficiencies.
PALETTE: dict[str, dict[str, str]] = {
    "phase": {
        "confusion": "#BBBBBB",
        "memorisation": "#E69F00",
        "grokking": "#009E73",
        "comprehension": "#56B4E9",
        "collapsed": "#882255",
        "diverged": "#333333",
    },
    "split": {"train": "#0072B2", "test": "#D55E00"},
    "layer": {
        "combined": "#000000",
        "0": "#999933",
        "1": "#332288",
        "2": "#44AA99",
        "3": "#CC6677",
        "4": "#C8A93C",
        "5": "#88CCEE",
        "6": "#117733",
        "7": "#AA4499",
        "8": "#882255",
    },
    "task": {
        "modular_addition": "#0072B2",
        "s5_composition": "#D55E00",
        "cubic_regression": "#009E73",
        "sine_regression": "#CC79A7",
        "modular_subtraction": "#56B4E9",
        "modular_multiplication": "#E69F00",
        "modular_division": "#332288",
        "modular_sum_of_squares": "#882255",
        "modular_cubic": "#777777",
        "s4_composition": "#AA7B00",
        "a5_composition": "#661188",
        "dihedral_composition": "#2E8B8B",
    },
    "depth": {
        "2": "#440154",
        "3": "#443983",
        "4": "#31688E",
        "5": "#21918C",
        "6": "#35B779",
        "7": "#90D743",
        "8": "#D0BC1C",
    },
    "event": {
        "gradient_peak": "#332288",
        "metric_transition": "#AA4499",
        "onset": "#117733",
        "lost": "#882255",
        "alarm": "#CC3311",
        "threshold": "#777777",
        "window": "#F0E442",
    },
    "lag": {"slope": "#0072B2", "onset": "#117733", "published": "#555555"},
    "arm": {"generalising": "#0072B2", "matched": "#D55E00"},
    "support": {
        "supports": "#0072B2",
        "speaks against": "#A0A0A0",
        "undecided": "#E69F00",
        "not judged": "#44AA99",
        "published": "#C8A93C",
        "default": "#CC3311",
    },
    # GAI and the clock stand out, signals of test data recede.
    "detector": {
        "gai": "#CC3311",
        "constant_time": "#000000",
        "grad_norm_peak": "#0072B2",
        "weight_norm_turn": "#009E73",
        "train_accuracy": "#E69F00",
        "train_loss": "#AA7B00",
        "rank_fall": "#CC79A7",
        "grad_norm_variance": "#56B4E9",
        "grad_norm_autocorrelation": "#332288",
        "cusum": "#999933",
        "change_point": "#44AA99",
        "test_loss_peak": "#777777",
        "test_accuracy": "#AAAAAA",
    },
    "band": {"shifted": "#BBBBBB", "swapped": "#EE99AA"},
    "state": {"never": "#CFCFCF", "not memorised": "#9E9E9E", "not run": "#FFFFFF"},
}

# For what users register: dark and light in turn, from Tol's "muted" and "bright" and from Okabe
# & Ito. A group takes those that it does not hold, in the order of registration, so that a task
# has one colour in all figures.
RESERVE = (
    "#AA4499",
    "#DDCC77",
    "#117733",
    "#88CCEE",
    "#661100",
    "#44AA99",
    "#6699CC",
    "#999933",
    "#882255",
    "#D55E00",
    "#000000",
)


def _registered(group: str) -> Collection[str]:
    """Names in the order of their registration, of what is registered."""
    if group != "detector":
        return TASKS if group == "task" else ()
    # The signals of detectors need scipy, which most figures do not.
    from grokscope.measure.detectors.registry import DETECTORS

    return DETECTORS


class PaletteError(LookupError):
    """A thing to draw for which the palette has no colour."""


def colour(group: str, key: object) -> str:
    """Colour of one thing, for instance ``colour("phase", "grokking")``.

    A registered task or detector without a colour of its own has one of the reserve.

    Raises
    ------
    PaletteError
        Naming the missing colour: a fallback would draw two things alike in silence.
    """
    name = str(key)
    if group not in PALETTE:
        raise PaletteError(f"no palette {group!r}; there are {', '.join(PALETTE)}")
    own = PALETTE[group]
    if name in own:
        return own[name]
    newcomers = [other for other in _registered(group) if other not in own]
    reserve = [shade for shade in RESERVE if shade not in own.values()]
    if name in newcomers[: len(reserve)]:
        return reserve[newcomers.index(name)]
    reason = f"its {len(reserve)} reserve colours are taken; " if name in newcomers else ""
    raise PaletteError(
        f"no colour for {group} {name!r}; {reason}add it to PALETTE[{group!r}] in {__name__}"
        f" (it has {', '.join(own)})"
    )


def layer_colours(layers: Iterable[str]) -> dict[str, str]:
    """Colours of layers; of as many groups of parameters, which have names, as there are shades.

    A group that is not in the result has none left, and is not to be drawn.
    """
    own = PALETTE["layer"]
    names = list(dict.fromkeys(layers))
    groups = [name for name in names if name not in own]
    if all(has_order(name) for name in groups):
        groups.sort(key=layer_order)
    shades = dict.fromkeys([*(of for name, of in own.items() if name not in names), *RESERVE])
    free = [shade for shade in shades if shade not in {own[n] for n in names if n in own}]
    found = {name: own[name] for name in names if name in own}
    return found | dict(zip(groups, (s for s in free if s != own["combined"]), strict=False))


def layer_words(layer: object) -> str:
    """Name of a layer in a legend."""
    name = str(layer)
    if name in ("0", "combined"):
        return {"0": "embeddings", "combined": "all layers combined"}[name]
    return f"layer {name}" if name.isdigit() else name
