"""Rules: when a number supports a claim. Shared by the verdicts and by the multiverse.

Input: a measured number, its interval over seeds and the published one. Output: whether the
claim would hold. Where there is no interval (fewer than two seeds) the point stands for it.
"""

from __future__ import annotations

from grokscope.evaluate.statistics import Interval


def inside(measured: float, low: float, high: float) -> bool:
    """Whether the point lies in a published range; its ends belong to it."""
    return low <= measured <= high


def reaches(measured: float, interval: Interval, published: float) -> bool:
    """Whether the published value lies within or below the interval (or the point)."""
    return (measured if interval.high is None else interval.high) >= published


def above(measured: float, interval: Interval, level: float) -> bool:
    """Whether the whole interval (or the point) lies above a level."""
    return (measured if interval.low is None else interval.low) > level


def correlates(measured: float, interval: Interval, published: float) -> bool:
    """Whether a correlation is above 0 and the published one within or below its interval."""
    return above(measured, interval, 0) and reaches(measured, interval, published)


def significant(measured: float, interval: Interval, resolved: bool) -> bool | None:
    """Whether an excess is above 0 beyond the scatter of the seeds.

    Parameters
    ----------
    resolved
        Whether there are enough seeds for an interval of that confidence
        (:func:`grokscope.evaluate.statistics.resolves`). If not, the interval is only their range,
        and only an excess that is not even positive decides.

    Returns
    -------
    bool or None
        None if the seeds are too few to tell.
    """
    if measured <= 0:
        return False
    return interval.low > 0 if resolved and interval.low is not None else None
