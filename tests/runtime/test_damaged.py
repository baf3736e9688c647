"""Damaged files: loading, planning and running one either works or raises a QCoreError, and never a fault of qcore's own."""

from __future__ import annotations

from importlib import resources

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import qcore
from qcore.model import Buffer, Model, Operator, OperatorCode, Quantization, Subgraph, Tensor
from qcore.schema import default_options, encode

SMALL = {"memory_limit": 2**26, "loop_limit": 10}


def movement_model() -> bytes:
    """Operators whose sizes come from the values of constants, which damage can change to anything."""
    tensors: list[Tensor] = []
    operators: list[Operator] = []

    def tensor(dtype: str, shape: tuple[int, ...], value: object = None) -> int:
        buffer = Buffer() if value is None else Buffer(encode(np.array(value, dtype).reshape(shape), dtype))
        q = Quantization(np.array([0.1], np.float32), np.array([3], np.int64)) if dtype == "int8" else None
        tensors.append(Tensor(f"t{len(tensors)}", dtype, shape, buffer, quantization=q))
        return len(tensors) - 1

    def operator(name: str, inputs: list[int], shape: tuple[int, ...], dtype: str = "int8", **options: object) -> int:
        output = tensor(dtype, shape)
        table = default_options(name)
        table.fields.update(options)
        operators.append(Operator(OperatorCode(name), inputs, [output], table))
        return output

    def vector(*values: int) -> int:
        return tensor("int32", (len(values),), values)

    x = tensor("int8", (1, 4, 4, 2))
    a = operator("PAD", [x, tensor("int32", (4, 2), [0, 0, 1, 1, 2, 0, 0, 0])], (1, 6, 6, 2))
    b = operator("STRIDED_SLICE", [a, vector(0, 1, 0, 0), vector(1, 5, 6, 2), vector(1, 2, 3, 1)], (1, 2, 2, 2))
    c = operator("TILE", [b, vector(1, 2, 1, 3)], (1, 4, 2, 6))
    d = operator("TRANSPOSE", [c, vector(0, 2, 1, 3)], (1, 2, 4, 6))
    e = operator("RESIZE_BILINEAR", [d, vector(5, 3)], (1, 5, 3, 6))
    f = operator("GATHER", [e, vector(2, 0, 1)], (1, 3, 3, 6), axis=1)
    g = operator("MEAN", [f, vector(1, 2)], (1, 6))
    h = operator("RESHAPE", [g, vector(-1, 3)], (2, 3))
    s = operator("SPLIT", [tensor("int32", (), 0), h], (2, 3), num_splits=1)
    k = operator("CONCATENATION", [s, s], (2, 6), axis=-1)
    operator("SLICE", [k, vector(0, 1), vector(2, -1)], (2, 5))
    return Model([Subgraph("main", tensors, [x], [len(tensors) - 1], operators)]).to_bytes()


BASES = (resources.files("qcore.data").joinpath("digits_int8.tflite").read_bytes(), movement_model())


def run(data: bytes) -> None:
    interpreter = qcore.Interpreter(model_content=data, **SMALL)
    interpreter.allocate_tensors()
    interpreter.invoke()
    for details in interpreter.get_output_details():
        interpreter.get_tensor(details["index"])


def test_the_undamaged_models_run() -> None:
    for data in BASES:
        run(data)


@settings(max_examples=400)
@given(
    st.sampled_from(BASES),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 127, 128, 255]))), max_size=6
    ),
)
def test_damaged_files_raise_qcore_errors_only(data: bytes, damage: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for place, value in damage:
        damaged[int(place * len(damaged))] = value
    try:
        run(bytes(damaged))
    except qcore.InternalError:
        raise
    except qcore.QCoreError as error:
        assert str(error).strip()
