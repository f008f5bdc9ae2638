"""Grokscope: check what is claimed of grokking, with traces, negatives and chance levels."""

__version__ = "0.1.0"
