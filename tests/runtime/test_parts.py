"""Tensors that are parts of others share their memory, wherever that changes no value."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from qcore.model import Buffer, Model, Operator, OperatorCode, Subgraph, Tensor
from qcore.runtime.plan import Settings
from qcore.runtime.session import Session
from qcore.schema import default_options, encode


def graph(shapes, operators, inputs, outputs, constants=()):
    """A float32 model; operators: (name, inputs, outputs, options)."""
    constants = dict(constants)
    buffers = {i: Buffer(encode(np.asarray(value, np.int32), "int32")) for i, value in constants.items()}
    empty = Buffer()
    tensors = [Tensor(f"t{i}", "int32" if i in constants else "float32", shape, buffers.get(i, empty)) for i, shape in enumerate(shapes)]
    listed = []
    for name, ins, outs, options in operators:
        table = default_options(name)
        if table is not None:
            table.fields.update(options)
        listed.append(Operator(OperatorCode(name), ins, outs, table))
    return Model([Subgraph("main", tensors, inputs, outputs, listed)], [op.code for op in listed], [empty, *buffers.values()])


def run(model, inputs, engine):
    session = Session(model, Settings(engine=engine))
    executor = session.executor()
    outputs = session.call(0, inputs)
    return executor.allocated().offsets, outputs


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_parts_lie_in_the_whole(engine):
    operators = [
        ("ABS", [0], [1], {}),
        ("NEG", [0], [2], {}),
        ("RESHAPE", [1, 5], [3], {}),
        ("CONCATENATION", [3, 2], [4], {"axis": 0}),
        ("RESHAPE", [4, 7], [6], {}),
    ]
    shapes = [(2, 3), (2, 3), (2, 3), (2, 3), (4, 3), (2,), (12,), (1,)]
    model = graph(shapes, operators, [0], [6], {5: [2, 3], 7: [12]})
    x = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
    offsets, (y,) = run(model, [x], engine)
    assert offsets[1] == offsets[3] == offsets[4] == offsets[6]
    assert offsets[2] == offsets[4] + x.nbytes
    np.testing.assert_array_equal(y, np.concatenate([abs(x), -x]).reshape(-1))


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_what_is_no_part(engine):
    """The graph's input, a tensor that is joined with itself, and one that another whole has already."""
    operators = [
        ("ABS", [0], [1], {}),
        ("CONCATENATION", [0, 1, 1], [2], {"axis": 0}),
        ("CONCATENATION", [1, 2], [3], {"axis": 0}),
        ("CONCATENATION", [1, 1], [4], {"axis": 1}),
    ]
    shapes = [(2, 3), (2, 3), (6, 3), (8, 3), (2, 6)]
    x = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
    offsets, outputs = run(graph(shapes, operators, [0], [2, 3, 4]), [x], engine)
    assert offsets[1] == offsets[3], "the last whole has it"
    assert offsets[2] == offsets[3] + x.nbytes
    apart = {0: x.nbytes, 3: 4 * x.nbytes, 4: 2 * x.nbytes}
    spans = sorted((offsets[i], offsets[i] + size) for i, size in apart.items())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    a = abs(x)
    for got, want in zip(outputs, ([x, a, a], [a, x, a, a]), strict=False):
        np.testing.assert_array_equal(got, np.concatenate(want))
    np.testing.assert_array_equal(outputs[2], np.concatenate([a, a], 1))


def test_a_whole_that_is_read_late_keeps_its_parts():
    """Memory of a part is not given away while the whole is still to come."""
    operators = [
        ("ABS", [0], [1], {}),
        ("NEG", [0], [2], {}),
        ("EXP", [2], [3], {}),
        ("EXP", [3], [4], {}),
        ("CONCATENATION", [1, 4], [5], {"axis": 0}),
    ]
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    for engine in ("reference", "fast"):
        _, (y,) = run(graph([(2, 3)] * 5 + [(4, 3)], operators, [0], [5]), [x], engine)
        np.testing.assert_allclose(y, np.concatenate([abs(x), np.exp(np.exp(-x))]), rtol=1e-6)
