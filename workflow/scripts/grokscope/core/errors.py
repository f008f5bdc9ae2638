"""Errors that are not faults of the code: reported in one line, without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """An error that only the user can fix: a setting, a file, a device.

    The message names the key, value or file, and what would be right.
    """


class BadFileError(UserError, ValueError):
    """A damaged or unexpected file; the message is one line and names it."""


class WriteError(UserError, OSError):
    """A file that cannot be written; the message is one line and names it."""
