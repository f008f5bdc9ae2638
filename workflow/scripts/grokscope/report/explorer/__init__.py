"""The explorer: runs, curves, scores and alarms of all results in one page."""
