"""Values that a caller gives for a model's tensors: in order or by name, real or codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from qcore.errors import InputError
from qcore.kernels.opdef import Array
from qcore.model import Model, Subgraph, Tensor
from qcore.runtime.executor import as_strings
from qcore.runtime.real_values import to_elements


def terminal_names(model: Model, subgraph: int, ends: Literal["inputs", "outputs"]) -> dict[str, int]:
    """A subgraph's inputs or outputs by the names they may be given by: those in signatures, and their own, which go before."""
    graph = model.subgraphs[subgraph]
    names = {name: i for s in model.signatures or () if s.subgraph_index == subgraph for name, i in getattr(s, ends)}
    return names | {graph.tensors[i].name: i for i in getattr(graph, ends)}


def elements_of(what: str, graph: Subgraph, indices: Sequence[int], names: Mapping[str, int], values: Any) -> dict[int, Array]:
    """Values of inputs or outputs, by tensor number, as each tensor's own elements.

    Args:
        what: "input" or "output", for messages.
        graph: the subgraph.
        indices: its inputs or outputs.
        names: tensor numbers by the names that values may be given by.
        values: by name; else as many as there are, in order, or one array.

    Raises:
        InputError: a name that is none of theirs, another number of arrays, or values that a tensor cannot hold.
    """
    if isinstance(values, Mapping):
        unknown = sorted(values.keys() - names.keys())
        if unknown:
            raise InputError(f"{what} {unknown[0]!r}: the model has no {what} of that name, but {', '.join(map(repr, names))}")
        given = {names[name]: value for name, value in values.items()}
    else:
        arrays = list(values) if isinstance(values, list | tuple) else [values]
        if len(arrays) != len(indices):
            raise InputError(f"{what}s: got {len(arrays)} arrays, the model has {len(indices)}")
        given = dict(zip(indices, arrays, strict=True))
    return {i: as_elements(graph.tensors[i], value) for i, value in given.items()}


def as_elements(tensor: Tensor, value: Any) -> Array:
    """A value as the tensor's own elements: real values of a quantized tensor are quantized.

    Raises:
        InputError: it is no array, or one that the tensor cannot hold.
    """
    try:
        array = np.asarray(value)
    except Exception as error:
        raise InputError(f"tensor '{tensor.name}': not an array: {error}") from error
    return as_strings(array) if tensor.dtype == "string" and array.dtype.kind in "SU" else to_elements(tensor, array)


def named_tensors(graph: Subgraph, tensors: Mapping[str, Any]) -> tuple[dict[int, Array], list[str]]:
    """Tensors given by name, by number, as their own elements; and the names among them that several tensors have.

    Raises:
        InputError: no tensor has that name, or it cannot hold the values.
    """
    counts = Counter(tensor.name for tensor in graph.tensors)
    unknown = next((name for name in tensors if name not in counts), None)
    if unknown is not None:
        raise InputError(f"tensor {unknown!r}: the model has no tensor of that name")
    found = {i: as_elements(t, tensors[t.name]) for i, t in enumerate(graph.tensors) if t.name in tensors and counts[t.name] == 1}
    return found, [name for name in tensors if counts[name] > 1]
