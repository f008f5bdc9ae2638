"""Figures: pure functions from traces and tables to a matplotlib figure.

One module a figure; :mod:`.parts` holds the panels that several share, :mod:`.layout` what
decides rows, columns and panels, :mod:`.palette` the colours, :mod:`.style` the only way to save.
Nothing here imports torch, and nothing touches pyplot's global state.
"""

import os

# Jupyter and Colab hand their backend down, and matplotlib cannot be imported where that is not
# installed. Figures here are drawn and saved without pyplot, so none is needed.
os.environ.pop("MPLBACKEND", None)
