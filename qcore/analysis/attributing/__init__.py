"""Errors taken apart: by cause, by operator, by calibrator."""
