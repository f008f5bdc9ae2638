"""Formatting: numbers and names of the code as a reader sees them, in report and figures alike."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

ABSENT = "–"

# Groups have capitals.
_GROUP = re.compile(r"[as]\d+ ")
_DETECTORS = {"gai": "GAI", "cusum": "CUSUM", "step_zero": "alarm at step 0"}


def steps(value: float) -> str:
    """A number of steps, with a decimal only where it is a mean: "1,234", "1,234.5"."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def number(value: float) -> str:
    """A share, correlation or metric: three decimals."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """A difference: three decimals and its sign."""
    return f"{value:+.3f}"


def probability(value: float) -> str:
    """A p-value: three decimals, below these "< 0.001"."""
    return number(value) if value >= 0.0005 else "< 0.001"


def p_text(value: float | None) -> str:
    """A p-value in a sentence: "p = 0.012", "p < 0.001", "no p"."""
    if value is None or math.isnan(value):
        return "no p"
    return f"p = {value:.3f}" if value >= 0.0005 else "p < 0.001"


def plain(value: float) -> str:
    """A parameter as it is written in the config."""
    return f"{value:g}"


def tick(value: float) -> str:
    """A number on an axis or in a drawing: 0.1, 1, 12,000, with a true minus sign."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
    return text.replace("-", "−")


def span(low: float | None, high: float | None, show: Callable[[float], str]) -> str:
    """An interval: "0.100 to 0.200", "no interval"."""
    if low is None or high is None:
        return "no interval"
    return f"{show(low)} to {show(high)}"


def count(value: int, noun: str) -> str:
    """Number and noun: "1 run", "12 runs"."""
    return f"{value:,} {noun}" + ("" if value == 1 else "s")


def listed(names: Sequence[str], last: str = "and") -> str:
    """A list in words: "a, b and c"."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def words(name: str) -> str:
    """A name as words: ``modular_addition`` -> "modular addition", ``s5_...`` -> "S5 ..."."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:] if _GROUP.match(text) else text


def title_words(name: str) -> str:
    """The same, with a capital, for titles."""
    text = words(name)
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Text without its leading capital, for use inside a sentence; S5 stays."""
    return text if text[1:2].isdigit() else text[:1].lower() + text[1:]


def detector_words(name: str) -> str:
    """Name of a detector as words: "GAI", "gradient-norm peak"."""
    if name in _DETECTORS:
        return _DETECTORS[name]
    text = name.replace("grad_norm", "gradient-norm").replace("weight_norm", "weight-norm")
    return text.replace("_", " ")
