"""A small model that uses every part of the format."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qcore.model import Buffer, Metadata, Model, Operator, OperatorCode, Quantization, Signature, Subgraph, Table, Tensor
from qcore.schema import default_options, encode, write


def _sparsity() -> Table:
    """A 4x4 matrix in 2x2 blocks, of which the first and the last are there."""
    dense = {"format": "DENSE", "dense_size": 2}
    compressed = {
        "format": "SPARSE_CSR",
        "array_segments": Table("Int32Vector", {"values": np.array([0, 1, 2], np.int32)}),
        "array_indices": Table("Uint8Vector", {"values": np.array([0, 1], np.uint8)}),
    }
    levels = [Table("DimensionMetadata", fields) for fields in (dense, compressed, dense, dense)]
    return Table(
        "SparsityParameters",
        {"traversal_order": np.array([0, 1, 2, 3], np.int32), "block_map": np.array([0, 1], np.int32), "dim_metadata": levels},
    )


def _tensors(empty: Buffer) -> list[Tensor]:
    per_channel = Quantization(
        scale=np.array([0.5, 0.25, 0.0], np.float32),
        zero_point=np.zeros(3, np.int64),
        min=np.array([-1, -2, -3], np.float32),
        max=np.array([1, 2, 3], np.float32),
    )
    blockwise = Quantization(details=Table("BlockwiseQuantization", {"scales": 2, "zero_points": -1, "block_size": 2}))
    custom = Quantization(details=Table("CustomQuantization", {"custom": np.arange(5, dtype=np.uint8)}))
    words = encode(np.array([b"one", "zwei\u00e9"], object), "string")
    return [
        Tensor("x", "float32", (1, 4), empty, shape_signature=(-1, 4)),
        Tensor("w", "int8", (3, 4), Buffer(np.arange(12, dtype=np.uint8)), quantization=per_channel),
        Tensor("b", "float32", (3,), Buffer(encode(np.array([1.5, -2, 0.25], np.float32), "float32"), in_appendix=True)),
        Tensor("y", "float32", (1, 3), empty, quantization=custom),
        Tensor("codes", "int4", (3, 1), Buffer(encode(np.array([-8, 7, 1], np.int8), "int4")), quantization=blockwise),
        Tensor("words", "string", (2,), Buffer(words)),
        Tensor("sparse", "int8", (4, 4), Buffer(np.arange(8, dtype=np.uint8)), sparsity=_sparsity()),
        Tensor("state", "int8", (2,), empty, is_variable=True, has_rank=True),
        Tensor("list", "variant", (), empty, variant_tensors=[Table("VariantSubType", {"shape": np.array([2], np.int32), "type": "int8"})]),
        Tensor("mine", "float32", (1, 3), empty),
        Tensor("loop", "float32", (1, 3), empty),
        Tensor("padded", "float32", (1, 3), empty),
        Tensor("far", "int8", (7,), empty, external_buffer=3),
    ]


def _operators() -> list[Operator]:
    fully_connected = default_options("FULLY_CONNECTED")
    fully_connected.fields |= {"fused_activation_function": "RELU6", "quantized_bias_type": "int32"}
    loop = default_options("WHILE")
    loop.fields |= {"cond_subgraph_index": 1, "body_subgraph_index": 2}
    pad = default_options("STABLEHLO_PAD")
    pad.fields |= {name: np.array([0, 0], np.int64) for name in pad.fields}
    return [
        Operator(OperatorCode("FULLY_CONNECTED", 9), [0, 1, 2], [3], fully_connected),
        Operator(
            OperatorCode("CUSTOM", custom_code="Mine"),
            [3, -1, 12],
            [9],
            custom_options=np.frombuffer(b"options", np.uint8),
            options_in_appendix=True,
            mutating_variable_inputs=[False, False, True],
            intermediates=[7],
            debug_metadata_index=4,
        ),
        Operator(OperatorCode("WHILE"), [9], [10], loop),
        Operator(OperatorCode("STABLEHLO_PAD"), [10, 2], [11], pad),
    ]


def _rich_model() -> Model:
    empty = Buffer()
    blob = Buffer(np.frombuffer(b"about", np.uint8))
    loops = [Subgraph(name, [Tensor("v", "float32", (1, 3), empty)], [0], [0], []) for name in ("condition", None)]
    return Model(
        subgraphs=[Subgraph("main", _tensors(empty), [0], [11], _operators(), debug_metadata_index=2), *loops],
        buffers=[empty, blob],
        description="every part",
        metadata=[Metadata("notes", blob), Metadata(None, blob)],
        metadata_buffer=[1],
        signatures=[Signature("serve", [("x", 0)], [("out", 11)]), Signature("loop", [("v", 0)], [("v", 0)], 2)],
        external_buffer_groups=[Table("ExternalBufferGroup", {"name": "weights.bin"})],
        external_buffers=[Table("ExternalBuffer", {"id": 3, "group": 0, "offset": 16, "length": 7, "packing": ""})],
    )


@pytest.fixture
def rich_model() -> Model:
    return _rich_model()


@pytest.fixture(scope="session")
def rich_bytes() -> bytes:
    return write(_rich_model())


@pytest.fixture(scope="session")
def make_rich_model() -> Callable[[], Model]:
    return _rich_model
