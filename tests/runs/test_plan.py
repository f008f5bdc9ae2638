"""Plan: files and parameters of the rules."""

from grokscope.runs.plan import scaled_by_attempt


def test_a_job_that_fails_asks_for_more_up_to_three_times_as_much():
    asked = [scaled_by_attempt(600)({}, attempt) for attempt in (1, 2, 3, 4, 20)]
    assert asked == [600, 1200, 1800, 1800, 1800]
    of_wildcards = scaled_by_attempt(lambda wildcards: int(wildcards["depth"]))
    assert [of_wildcards({"depth": "4"}, attempt) for attempt in (1, 2, 9)] == [4, 8, 12]
