"""Each inconsistency of a model: what is refused, and what the message says."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from qcore.errors import ModelError
from qcore.model import Buffer, Model, OperatorCode, Quantization, Table, Tensor
from qcore.schema import default_options, read, write
from qcore.schema.check import check
from qcore.schema.check_tensor import MAX_RANK
from qcore.schema.strings import string_offsets


def _quantize(name: str, **fields: object) -> Callable[[Model], None]:
    """Changes some of the tensor's quantization parameters."""

    def edit(model: Model) -> None:
        quantization = model.tensor(name).quantization
        assert quantization is not None
        for field, value in fields.items():
            setattr(quantization, field, value)

    return edit


def _set(name: str, **fields: object) -> Callable[[Model], None]:
    """Changes some of the tensor's fields."""

    def edit(model: Model) -> None:
        for field, value in fields.items():
            setattr(model.tensor(name), field, value)

    return edit


def _operator(number: int, **fields: object) -> Callable[[Model], None]:
    def edit(model: Model) -> None:
        for field, value in fields.items():
            setattr(model.subgraphs[0].operators[number], field, value)

    return edit


def _graph(**fields: object) -> Callable[[Model], None]:
    def edit(model: Model) -> None:
        for field, value in fields.items():
            setattr(model.subgraphs[0], field, value)

    return edit


def _model(**fields: object) -> Callable[[Model], None]:
    def edit(model: Model) -> None:
        for field, value in fields.items():
            setattr(model, field, value)

    return edit


def _nameless_custom(model: Model) -> None:
    model.operator_codes = [OperatorCode("CUSTOM")]


def _signature(**fields: object) -> Callable[[Model], None]:
    def edit(model: Model) -> None:
        assert model.signatures is not None
        for field, value in fields.items():
            setattr(model.signatures[0], field, value)

    return edit


def _body_out_of_range(model: Model) -> None:
    options = model.subgraphs[0].operators[2].options
    assert options is not None
    options.fields["body_subgraph_index"] = 3


def _blockwise(**fields: object) -> Callable[[Model], None]:
    return _quantize("codes", details=Table("BlockwiseQuantization", {"scales": 2, "zero_points": -1, "block_size": 2} | fields))


def _multi_axis(axes: list[int]) -> Callable[[Model], None]:
    fields = {"scales": 2, "zero_points": -1, "block_size": 0, "quantized_dimensions": np.array(axes, np.int32)}
    return _quantize("codes", details=Table("MultiAxisQuantization", fields))


CASES: list[tuple[Callable[[Model], None], str]] = [
    (_model(version=2), "version 2 of the schema, expected 3"),
    (_model(subgraphs=[]), "the model has no subgraph"),
    (_model(metadata_buffer=[2]), "metadata buffer 0: buffer index 2, the model has 2 buffers"),
    (_nameless_custom, "operator code 0: a custom operator without a name"),
    (_graph(inputs=[13]), "subgraph 0, input 0: tensor index 13, the subgraph has 13 tensors"),
    (_graph(inputs=[-1]), "subgraph 0, input 0: tensor index -1, the subgraph has 13 tensors"),
    (_graph(outputs=[13]), "subgraph 0, output 0: tensor index 13, the subgraph has 13 tensors"),
    (_graph(outputs=[8]), "subgraph 0, output 0: no operator computes tensor 8"),
    (_operator(0, inputs=[0, 99, 2]), "subgraph 0, operator 0 FULLY_CONNECTED, input 1: tensor index 99, the subgraph has 13 tensors"),
    (_operator(0, inputs=[0, -2, 2]), "subgraph 0, operator 0 FULLY_CONNECTED, input 1: tensor index -2, the subgraph has 13 tensors"),
    (_operator(0, outputs=[13]), "subgraph 0, operator 0 FULLY_CONNECTED, output 0: tensor index 13, the subgraph has 13 tensors"),
    (_operator(1, intermediates=[13]), "subgraph 0, operator 1 Mine, intermediate 0: tensor index 13, the subgraph has 13 tensors"),
    (
        _operator(0, inputs=[3]),
        "subgraph 0, operator 0 FULLY_CONNECTED, input 0: tensor 3 is no constant or input, and no operator before has computed it",
    ),
    (
        _operator(0, outputs=[1]),
        "subgraph 0, operator 0 FULLY_CONNECTED, output 0: tensor 1 is a constant, an input, or was computed before",
    ),
    (_operator(1, outputs=[3]), "subgraph 0, operator 1 Mine, output 0: tensor 3 is a constant, an input, or was computed before"),
    (_operator(1, outputs=[0]), "subgraph 0, operator 1 Mine, output 0: tensor 0 is a constant, an input, or was computed before"),
    (
        _operator(0, options=default_options("CONV_2D")),
        "subgraph 0, operator 0 FULLY_CONNECTED: options are Conv2DOptions, expected FullyConnectedOptions",
    ),
    (_body_out_of_range, "subgraph 0, operator 2 WHILE, body_subgraph_index: subgraph index 3, the model has 3 subgraphs"),
    (_signature(subgraph_index=3), "signature 0 'serve': subgraph index 3, the model has 3 subgraphs"),
    (_signature(inputs=[("x", 13)]), "signature 0 'serve', input 'x': tensor index 13, subgraph 0 has 13 tensors"),
    (_signature(outputs=[("out", -1)]), "signature 0 'serve', output 'out': tensor index -1, subgraph 0 has 13 tensors"),
    (_model(external_buffer_groups=[]), "external buffer 0: group index 0, the model has 0 groups"),
    (_set("far", external_buffer=4), "subgraph 0, tensor 12 'far': no external buffer has the id 4"),
    (_set("x", dtype="int5"), "subgraph 0, tensor 0 'x': 'int5' is no element type"),
    (_set("x", shape=(1, -1)), "subgraph 0, tensor 0 'x': shape (1, -1) is negative or larger than any memory"),
    (_set("list", shape=(-2,)), "subgraph 0, tensor 8 'list': shape (-2,) is negative or larger than any memory"),
    (_set("x", shape=(2**31 - 1,) * 3), "subgraph 0, tensor 0 'x': shape (2147483647, 2147483647, 2147483647) is negative or larger"),
    (_set("x", shape=(1,) * (MAX_RANK + 1)), "subgraph 0, tensor 0 'x': 33 dimensions, at most 32 are supported"),
    (_set("x", shape_signature=(-2,)), "subgraph 0, tensor 0 'x': shape signature (-2,), expected sizes, or -1 where unknown"),
    (_set("w", is_variable=True), "subgraph 0, tensor 1 'w': a variable with constant bytes"),
    (_set("w", shape=(3, 5)), "subgraph 0, tensor 1 'w': its buffer has 12 bytes, 15 elements of int8 take 15"),
    (_set("codes", shape=(5,)), "subgraph 0, tensor 4 'codes': its buffer has 2 bytes, 5 elements of int4 take 3"),
    (_set("b", dtype="variant"), "subgraph 0, tensor 2 'b': a constant of type variant, which has no bytes"),
    (
        _set("b", buffer=Buffer(np.zeros(3, np.float32))),  # type: ignore[arg-type]
        "subgraph 0, tensor 2 'b': its buffer is float32[3], expected contiguous uint8[n]",
    ),
    (_set("words", shape=(3,)), "subgraph 0, tensor 5 'words': its buffer has 2 strings, its shape (3,) asks for 3"),
    (_set("words", buffer=Buffer(np.zeros(3, np.uint8))), "subgraph 0, tensor 5 'words': 3 bytes are too few for 0 strings"),
    (_quantize("w", zero_point=np.zeros(2, np.int64)), "subgraph 0, tensor 1 'w': 3 scales and 2 zero points, expected as many"),
    (_quantize("w", quantized_dimension=2), "subgraph 0, tensor 1 'w': quantized dimension 2, the tensor has 2 dimensions"),
    (_quantize("w", quantized_dimension=-1), "subgraph 0, tensor 1 'w': quantized dimension -1, the tensor has 2 dimensions"),
    (_quantize("w", quantized_dimension=1), "subgraph 0, tensor 1 'w': 3 scales, expected 1 or 4, the size of dimension 1"),
    (_quantize("w", scale=np.array([1, np.nan, 1], np.float32)), "subgraph 0, tensor 1 'w': a scale is negative or not finite"),
    (_quantize("w", scale=np.array([1, np.inf, 1], np.float32)), "subgraph 0, tensor 1 'w': a scale is negative or not finite"),
    (_quantize("w", scale=np.array([1, -1, 1], np.float32)), "subgraph 0, tensor 1 'w': a scale is negative or not finite"),
    (_quantize("w", zero_point=np.array([0, 128, 0])), "subgraph 0, tensor 1 'w': a zero point is outside [-128, 127]"),
    (_quantize("w", zero_point=np.array([0, -(2**63), 0])), "subgraph 0, tensor 1 'w': a zero point is outside [-128, 127]"),
    (_blockwise(scales=13), "subgraph 0, tensor 4 'codes', BlockwiseQuantization.scales: tensor index 13, the subgraph has 13 tensors"),
    (_blockwise(scales=-1), "subgraph 0, tensor 4 'codes', BlockwiseQuantization.scales: tensor index -1,"),
    (_blockwise(zero_points=-2), "subgraph 0, tensor 4 'codes', BlockwiseQuantization.zero_points: tensor index -2,"),
    (_blockwise(block_size=-1), "subgraph 0, tensor 4 'codes', BlockwiseQuantization.block_size: -1"),
    (_multi_axis([0, 2]), "subgraph 0, tensor 4 'codes', MultiAxisQuantization: quantized dimensions [0, 2], the tensor has 2"),
    (_multi_axis([]), "subgraph 0, tensor 4 'codes', MultiAxisQuantization: quantized dimensions [], the tensor has 2"),
]


@pytest.mark.parametrize(("edit", "message"), CASES, ids=[message for _, message in CASES])
def test_an_inconsistent_model_is_neither_read_nor_written(edit: Callable[[Model], None], message: str, rich_model: Model) -> None:
    """``write`` and ``read`` share the check, so it is enough to ask for it once."""
    rich_model.operator_codes = []
    edit(rich_model)
    with pytest.raises(ModelError, match=f"^{re.escape(message)}"):
        write(rich_model)


def test_reading_makes_the_same_check(rich_bytes: bytes) -> None:
    version = rich_bytes.index(b"\x03\0\0\0", 8)
    with pytest.raises(ModelError):
        read(rich_bytes[:version] + b"\x02" + rich_bytes[version + 1 :])


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_quantize("w", scale=np.zeros(3, np.float32)), id="a scale of zero, as converters give to channels of zeros"),
        pytest.param(_set("w", shape=(3, 3)), id="more bytes than elements, as TensorFlow Lite allows"),
        pytest.param(_set("list", shape=(-1,)), id="an unknown dimension of a tensor that nothing uses"),
        pytest.param(_operator(1, outputs=[9, -1]), id="an output that is left out"),
        pytest.param(_operator(1, outputs=[7, 9]), id="an output that is a variable"),
        pytest.param(_operator(0, options=None), id="options left out"),
        pytest.param(_set("x", quantization=Quantization()), id="quantization without parameters"),
        pytest.param(_set("x", quantization=Quantization(zero_point=np.zeros(9, np.int64))), id="zero points without scales"),
        pytest.param(_set("w", dtype="uint8"), id="another type of the same width"),
        pytest.param(_set("far", dtype="int4"), id="values in another file"),
    ],
)
def test_what_tensorflow_lite_runs_is_not_refused(edit: Callable[[Model], None], rich_model: Model) -> None:
    edit(rich_model)
    check(rich_model)


def test_strings_that_many_tensors_share_are_looked_into_once(rich_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    words = rich_model.tensor("words")
    rich_model.subgraphs[0].tensors += [Tensor(f"words{i}", "string", (2,), words.buffer) for i in range(50)]
    seen: list[str] = []

    def offsets(data: NDArray[np.uint8], where: str) -> NDArray[np.int64]:
        seen.append(where)
        return string_offsets(data, where)

    monkeypatch.setattr("qcore.schema.check.string_offsets", offsets)
    check(rich_model)
    assert len(seen) == 1


def test_messages_stay_short_whatever_names_a_file_holds(rich_model: Model) -> None:
    rich_model.tensor("w").shape = (99,)
    rich_model.tensor("w").name = "w" * 10**6
    with pytest.raises(ModelError) as caught:
        check(rich_model)
    assert len(str(caught.value)) < 500
