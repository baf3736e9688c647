"""VAR_HANDLE, ASSIGN_VARIABLE, READ_VARIABLE: values that outlive an invoke, shared by all subgraphs of a session.

A handle is a number that stands for a container and a shared name.

Source (TensorFlow Lite 2.21): tflite/kernels/var_handle.cc, assign_variable.cc, read_variable.cc,
core/subgraph.cc#Subgraph::GetResourceVariable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcore.errors import ModelError
from qcore.kernels.opdef import Array, Node, OpDef, Session, Step


@dataclass(frozen=True)
class Handle:
    """The number of a variable or of a table."""

    number: int


@dataclass(frozen=True)
class Variable:
    """The session that holds the value; dtype: that READ_VARIABLE's output has."""

    session: Session
    dtype: np.dtype[np.generic]
    where: str


def prepare_handle(node: Node) -> Step:
    """VAR_HANDLE: handles of one container and name are the same."""
    names = node.needs_session().resources.setdefault("variable handles", {})
    key = node.options["container"] or "", node.options["shared_name"] or ""
    return Step(handle, Handle(names.setdefault(key, len(names))), ((1,),), known=True)


def require_handle(node: Node) -> None:
    """Refuse a first input that is no single handle."""
    resource = node.input(0)
    node.require(
        resource.dtype == "resource" and resource.size == 1, f"input 0 is {resource.dtype}{list(resource.shape)}, expected a handle"
    )


def prepare_assign(node: Node) -> Step:
    """ASSIGN_VARIABLE: a handle and a value."""
    require_handle(node)
    return Step(assign, Variable(node.needs_session(), node.input(1).storage, node.where), ())


def prepare_read(node: Node) -> Step:
    """READ_VARIABLE: a handle; the value's shape is only known at run time."""
    require_handle(node)
    return Step(read, Variable(node.needs_session(), node.output.storage, node.where), (None,))


def handle(p: Handle) -> Array:
    """The number, int32[1]."""
    return np.array([p.number], np.int32)


def assign(p: Variable, resource: Array, value: Array) -> tuple[Array, ...]:
    """Keep a copy of the value."""
    p.session.resources["variable", int(resource.reshape(()))] = value.copy()
    return ()


def read(p: Variable, resource: Array) -> Array:
    """A copy of the value.

    Raises:
        ModelError: nothing was assigned, or something of another type.
    """
    number = int(resource.reshape(()))
    value: Array | None = p.session.resources.get(("variable", number))
    if value is None:
        raise ModelError(f"{p.where}: variable {number} is read before anything is assigned to it")
    if value.dtype != p.dtype:
        raise ModelError(f"{p.where}: variable {number} holds {value.dtype}, expected {p.dtype}")
    return value.copy()


VAR_HANDLE = OpDef("VAR_HANDLE", prepare_handle, (), (0, 0))
ASSIGN_VARIABLE = OpDef("ASSIGN_VARIABLE", prepare_assign, ("resource",), (2, 2), (0, 0), pure=False)
READ_VARIABLE = OpDef("READ_VARIABLE", prepare_read, ("resource",), (1, 1), pure=False)
