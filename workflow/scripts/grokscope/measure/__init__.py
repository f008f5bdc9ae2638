"""Measure: what is read off the trace of one run: onsets, alarms, ranks, phases, scores."""
