"""HASHTABLE, HASHTABLE_IMPORT, HASHTABLE_FIND, HASHTABLE_SIZE: a table from strings to int64, or the other way, that outlives an invoke.

All subgraphs of a session share a table by its number. It is filled once: later imports change nothing, and of several values for one
key the first holds.

Source (TensorFlow Lite 2.21): tflite/kernels/hashtable.cc, hashtable_import.cc, hashtable_find.cc, hashtable_size.cc,
experimental/resource/static_hashtable.cc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qcore.errors import ModelError
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Session, Step
from qcore.kernels.variables import Handle, handle, require_handle

TYPES = (("int64", "string"), ("string", "int64"))
"""Types of keys and of values."""


@dataclass
class Table:
    """A session's table: types of its keys and values, and what it holds once something is imported."""

    types: tuple[str, str]
    entries: dict[Any, Any] | None = None


@dataclass(frozen=True)
class Use:
    """A session, and the types of keys and values that an operator has; None where it has neither."""

    where: str
    session: Session
    types: tuple[str, str] | None = None

    def table(self, number: Array) -> Table:
        """The table of that number.

        Raises:
            ModelError: there is none, or it is of other types.
        """
        table: Table | None = self.session.resources.get(("hashtable", int(number.reshape(()))))
        if table is None:
            raise ModelError(f"{self.where}: there is no table {number.reshape(())}")
        if self.types not in (None, table.types):
            raise ModelError(f"{self.where}: keys and values are {self.types}, in table {number.reshape(())} they are {table.types}")
        return table


def require_types(node: Node, keys: str, values: str) -> tuple[str, str]:
    """Keys and values of a table, after refusing types that no table has."""
    types = keys, values
    if types not in TYPES:
        raise node.unsupported(f"keys are {keys} and values {values}, qcore has {' and '.join(' with '.join(pair) for pair in TYPES)}")
    return types


def require_type(node: Node, operand: Operand, dtype: str) -> None:
    """Refuse a tensor of another type."""
    node.require(operand.dtype == dtype, f"'{operand.name}' is {operand.dtype}, expected {dtype}")


def prepare_handle(node: Node) -> Step:
    """HASHTABLE: the handle of a table, which is made where there is none of that number."""
    require_type(node, node.output, "resource")
    number, types = node.options["table_id"], require_types(node, node.options["key_dtype"], node.options["value_dtype"])
    node.needs_session().resources.setdefault(("hashtable", number), Table(types))
    return Step(handle, Handle(number), ((1,),), known=True)


def prepare_import(node: Node) -> Step:
    """HASHTABLE_IMPORT: handle, keys, values."""
    require_handle(node)
    keys, values = node.input(1), node.input(2)
    types = require_types(node, keys.dtype, values.dtype)
    node.require(keys.shape == values.shape, f"keys have shape {list(keys.shape)}, values {list(values.shape)}, expected the same")
    return Step(fill, Use(node.where, node.needs_session(), types), ())


def prepare_find(node: Node) -> Step:
    """HASHTABLE_FIND: handle, keys, the value of keys that are not there."""
    require_handle(node)
    keys, default = node.input(1), node.input(2)
    types = require_types(node, keys.dtype, node.output.dtype)
    require_type(node, default, node.output.dtype)
    node.require(default.size > 0, f"'{default.name}' has shape {list(default.shape)}, expected a value")
    return Step(find, Use(node.where, node.needs_session(), types), (keys.shape,))


def prepare_size(node: Node) -> Step:
    """HASHTABLE_SIZE: handle."""
    require_handle(node)
    require_type(node, node.output, "int64")
    return Step(size, Use(node.where, node.needs_session()), ((1,),))


def fill(p: Use, number: Array, keys: Array, values: Array) -> tuple[Array, ...]:
    """Fill a table that is empty yet."""
    table = p.table(number)
    if table.entries is None:
        table.entries = {}
        for key, value in zip(keys.reshape(-1).tolist(), values.reshape(-1).tolist(), strict=True):
            table.entries.setdefault(key, value)
    return ()


def find(p: Use, number: Array, keys: Array, default: Array) -> Array:
    """The value of each key; the default's first where it has none.

    Raises:
        ModelError: nothing was imported.
    """
    entries = p.table(number).entries
    if entries is None:
        raise ModelError(f"{p.where}: table {number.reshape(())} is read before anything is imported into it")
    missing = default.reshape(-1).tolist()[0]
    values = np.empty(keys.size, default.dtype)
    values[:] = [entries.get(key, missing) for key in keys.reshape(-1).tolist()]
    return values.reshape(keys.shape)


def size(p: Use, number: Array) -> Array:
    """How many keys there are, int64[1]."""
    return np.array([len(p.table(number).entries or ())], np.int64)


HASHTABLE = OpDef("HASHTABLE", prepare_handle, (), (0, 0))
HASHTABLE_IMPORT = OpDef("HASHTABLE_IMPORT", prepare_import, ("resource",), (3, 3), (0, 0), pure=False)
HASHTABLE_FIND = OpDef("HASHTABLE_FIND", prepare_find, ("resource",), (3, 3), pure=False)
HASHTABLE_SIZE = OpDef("HASHTABLE_SIZE", prepare_size, ("resource",), (1, 1), pure=False)
