"""Figures: pure functions from traces and tables to a matplotlib figure.

One module a study, one function a figure, one function a panel; :mod:`.style` holds the
palette and the only way to save. Nothing here imports torch, and nothing touches pyplot's
global state.
"""
