"""Evaluate: alarms against onsets, chance, curves and intervals."""
