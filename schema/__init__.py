"""The ``.tflite`` file format: one description of the schema (``description``), from which reading, checking and writing follow."""

from __future__ import annotations

from qcore.schema.constants import constant, encode
from qcore.schema.description import default_options
from qcore.schema.files import load, save
from qcore.schema.reader import read, verify
from qcore.schema.writer import write

__all__ = ["constant", "default_options", "encode", "load", "read", "save", "verify", "write"]
