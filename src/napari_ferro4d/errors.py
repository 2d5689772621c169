"""Errors for the person who meets them: which file, what is wrong, what to do."""

from __future__ import annotations

__all__ = ["LabelsError", "ModelError", "ResultsError", "ScanError"]


class ScanError(Exception):
    """Input that cannot be used.

    The message is one line, written for the user: it names the file, what is wrong with it, and
    what to do. The commands print it and exit with code 2; the viewer shows it as a notification.
    """


class LabelsError(ScanError):
    """Labels that do not fit the scan, or that cannot train a classifier."""


class ModelError(ScanError):
    """A model file that cannot be read, or a model that does not fit the scan."""


class ResultsError(ScanError):
    """A results folder that cannot be read or written."""
