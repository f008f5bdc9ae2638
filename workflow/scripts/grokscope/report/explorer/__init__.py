"""The explorer: all runs, curves, scores and alarms of the results in one page that needs no other."""
