"""Words: names of the code as a reader says them, in report and figures alike."""

from __future__ import annotations

_WORDS = {"gai": "GAI", "cusum": "CUSUM", "at_once": "alarm at once"}


def detector_words(name: str) -> str:
    """Name of a detector as words: "GAI", "gradient-norm peak"."""
    if name in _WORDS:
        return _WORDS[name]
    text = name.replace("grad_norm", "gradient-norm").replace("weight_norm", "weight-norm")
    return text.replace("_", " ")
