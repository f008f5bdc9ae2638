"""Detectors: cheap predictors of generalisation, one interface, none of which sees the future.

A detector is a signal: a score of each step, made of the rows of a trace up to that step. A score
above a threshold is an alarm, so whatever is a warning is large: losses are negated, a *peak* is
scored by how far the signal has fallen from it (it is not known before). To add a detector, write
one function and register it in :mod:`grokscope.measure.detectors.signals`:

>>> @detector("loud_gradient", description="gradient norm", needs=("grad_norm",))
... def loud_gradient(trace, analysis):
...     return {COMBINED: column(trace, "grad_norm")}

Its threshold is then chosen on development seeds, and the tests check that it is causal.
"""

# Imported for the detectors that it registers.
from grokscope.measure.detectors import signals  # noqa: F401
