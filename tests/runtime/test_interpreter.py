"""The interpreter: tf.lite.Interpreter's methods, and its promises about memory, shapes and errors."""

from __future__ import annotations

import numpy as np
import pytest

import qcore
from qcore.model import Buffer, Model, Operator, OperatorCode, Quantization, Signature, Subgraph, Tensor
from qcore.schema import default_options, encode


def quantized(name: str, shape: tuple[int, ...], scale: float = 0.5, zero_point: int = 0, dtype: str = "int8") -> Tensor:
    q = Quantization(np.array([scale], np.float32), np.array([zero_point], np.int64))
    return Tensor(name, dtype, shape, Buffer(), quantization=q)


def chain(*operators: str, tensors: list[Tensor], signature_shape: tuple[int, ...] | None = None) -> Model:
    """A model whose operators each read the tensor that the one before wrote."""
    tensors[0].shape_signature = signature_shape
    ops = []
    for i, name in enumerate(operators):
        options = default_options(name)
        if name == "MAX_POOL_2D":
            options.fields.update(filter_height=2, filter_width=2, stride_h=2, stride_w=2, padding="VALID")
        ops.append(Operator(OperatorCode(name), [i], [i + 1], options))
    graph = Subgraph("main", tensors, [0], [len(operators)], ops)
    signature = Signature("serve", [("x", 0)], [("y", len(operators))])
    return Model([graph], signatures=[signature])


@pytest.fixture
def pools() -> Model:
    tensors = [quantized("image", (1, 8, 8, 1)), *(quantized(f"pool{n}", (1, n, n, 1)) for n in (4, 2, 1))]
    return chain(*["MAX_POOL_2D"] * 3, tensors=tensors, signature_shape=(-1, 8, 8, 1))


IMAGE = np.arange(-32, 32, dtype=np.int8).reshape(1, 8, 8, 1)


def test_set_invoke_get(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    it.allocate_tensors()
    it.set_tensor(0, IMAGE)
    it.invoke()
    np.testing.assert_array_equal(it.get_tensor(3), [[[[31]]]])


def test_details_have_tf_lites_keys_and_types(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    (details,) = it.get_input_details()
    assert set(details) == {
        "name", "index", "shape", "shape_signature", "dtype", "quantization", "quantization_parameters", "sparsity_parameters",
    }  # fmt: skip
    assert details["name"] == "image"
    assert details["dtype"] is np.int8
    assert details["shape"].dtype == np.int32
    assert details["shape_signature"].tolist() == [-1, 8, 8, 1]
    assert details["quantization"] == (0.5, 0)
    assert details["quantization_parameters"]["scales"].tolist() == [0.5]
    assert [d["name"] for d in it.get_tensor_details()] == ["image", "pool4", "pool2", "pool1"]


def test_an_intermediate_is_refused_after_its_life(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    it.allocate_tensors()
    with pytest.raises(qcore.InputError, match="'pool4': it has no value before invoke"):
        it.get_tensor(1)
    it.invoke()
    with pytest.raises(qcore.InputError, match="'pool4': an intermediate.*experimental_preserve_all_tensors=True"):
        it.get_tensor(1)


def test_preserving_all_tensors_keeps_intermediates_and_changes_no_result(pools: Model) -> None:
    kept = qcore.Interpreter(model_content=pools, experimental_preserve_all_tensors=True)
    kept.allocate_tensors()
    kept.set_tensor(0, IMAGE)
    kept.invoke()
    assert kept.get_tensor(1)[0, :, :, 0].tolist() == [[-23, -21, -19, -17], [-7, -5, -3, -1], [9, 11, 13, 15], [25, 27, 29, 31]]
    plain = qcore.Interpreter(model_content=pools)
    plain.allocate_tensors()
    assert plain.planned_memory < kept.planned_memory
    plain.set_tensor(0, IMAGE)
    plain.invoke()
    np.testing.assert_array_equal(plain.get_tensor(3), kept.get_tensor(3))


def test_resize_replans(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    it.resize_tensor_input(0, [2, 8, 8, 1], strict=True)
    with pytest.raises(qcore.InputError, match="call allocate_tensors"):
        it.invoke()
    it.allocate_tensors()
    it.set_tensor(0, np.concatenate([IMAGE, -IMAGE]))
    it.invoke()
    assert it.get_tensor(3).ravel().tolist() == [31, 32]
    assert it.get_output_details()[0]["shape"].tolist() == [2, 1, 1, 1]


def test_strict_resize_refuses_a_fixed_dimension(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    with pytest.raises(qcore.InputError, match=r"strict resize of input 'image' to \[1, 9, 8, 1\]"):
        it.resize_tensor_input(0, [1, 9, 8, 1], strict=True)


def test_wrong_shape_and_type_are_named(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    it.allocate_tensors()
    with pytest.raises(qcore.InputError, match=r"'image': got shape \[8, 8\], expected \[1, 8, 8, 1\]"):
        it.set_tensor(0, IMAGE[0, :, :, 0])
    with pytest.raises(qcore.InputError, match="'image': got float32, expected int8"):
        it.set_tensor(0, IMAGE.astype(np.float32))
    with pytest.raises(qcore.InputError, match="tensor index 9: the subgraph has 4 tensors"):
        it.get_tensor(9)


def test_tensor_gives_a_writable_view(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    it.allocate_tensors()
    it.tensor(0)()[...] = 7
    it.invoke()
    assert it.tensor(3)().ravel().tolist() == [7]


def test_run_takes_and_gives_real_values(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    real = np.full((1, 8, 8, 1), 3.2, np.float32)
    assert it.run(real)["pool1"].ravel().tolist() == [3.0]
    assert it.run({"image": real + 1000})["pool1"].ravel().tolist() == [63.5]
    assert it.run(image=IMAGE)["pool1"].ravel().tolist() == [15.5]
    with pytest.raises(qcore.InputError, match="expected one for each of"):
        it.run(picture=real)


def test_signature_runner_resizes_and_names(pools: Model) -> None:
    it = qcore.Interpreter(model_content=pools)
    assert it.get_signature_list() == {"serve": {"inputs": ["x"], "outputs": ["y"]}}
    runner = it.get_signature_runner()
    assert runner(x=np.concatenate([IMAGE] * 3))["y"].shape == (3, 1, 1, 1)
    assert list(runner.get_input_details()) == ["x"]
    with pytest.raises(qcore.InputError, match=r"got inputs \['z'\], expected \['x'\]"):
        runner(z=IMAGE)
    with pytest.raises(qcore.InputError, match="no signature 'train'"):
        it.get_signature_runner("train")


def test_an_operator_that_reads_what_nothing_computed_is_refused(pools: Model) -> None:
    pools.subgraphs[0].operators.reverse()
    with pytest.raises(qcore.ModelError, match="operator 0 MAX_POOL_2D, input 0: tensor 2 is no constant or input"):
        qcore.Interpreter(model_content=pools)


def test_a_tensor_written_twice_is_refused(pools: Model) -> None:
    pools.subgraphs[0].operators[1].outputs[0] = 1
    with pytest.raises(
        qcore.ModelError, match="operator 1 MAX_POOL_2D, output 0: tensor 1 is a constant, an input, or was computed before"
    ):
        qcore.Interpreter(model_content=pools)


def test_an_unknown_operator_is_named(pools: Model) -> None:
    pools.subgraphs[0].operators[1].code = OperatorCode("CUSTOM", custom_code="Magic")
    with pytest.raises(qcore.UnsupportedError, match=r"Magic \(op 1, output 'pool2'\): qcore does not have this operator"):
        qcore.Interpreter(model_content=pools).allocate_tensors()


def test_a_plan_over_the_memory_limit_is_refused_before_memory_is_taken(pools: Model) -> None:
    pools.subgraphs[0].tensors[0].shape = (1, 2**12, 2**12, 2**12)
    with pytest.raises(qcore.ModelError, match="memory limit is 1073741824"):
        qcore.Interpreter(model_content=pools).allocate_tensors()


def test_a_shape_known_only_at_run_time_replans_what_follows() -> None:
    tensors = [
        Tensor("x", "float32", (2, 3), Buffer()),
        Tensor("new_shape", "int32", (1,), Buffer()),
        Tensor("reshaped", "float32", (1,), Buffer()),
        Tensor("y", "float32", (1,), Buffer()),
    ]
    operators = [
        Operator(OperatorCode("RESHAPE"), [0, 1], [2]),
        Operator(OperatorCode("ABS"), [2], [3]),
    ]
    it = qcore.Interpreter(model_content=Model([Subgraph("main", tensors, [0, 1], [3], operators)]))
    it.allocate_tensors()
    it.set_tensor(0, -np.ones((2, 3), np.float32))
    it.set_tensor(1, np.array([6], np.int32))
    it.invoke()
    assert it.get_tensor(3).tolist() == [1.0] * 6
    assert it.get_output_details()[0]["shape"].tolist() == [6]


def test_operators_on_constants_alone_are_computed_once_at_plan_time() -> None:
    half = np.array([1.5, -2.0], np.float16)
    tensors = [
        Tensor("half", "float16", (2,), Buffer(encode(half, "float16"))),
        Tensor("single", "float32", (2,), Buffer()),
        Tensor("x", "float32", (2,), Buffer()),
        Tensor("y", "float32", (2,), Buffer()),
    ]
    operators = [Operator(OperatorCode("DEQUANTIZE"), [0], [1]), Operator(OperatorCode("ADD"), [2, 1], [3])]
    it = qcore.Interpreter(model_content=Model([Subgraph("main", tensors, [2], [3], operators)]))
    it.allocate_tensors()
    assert it.get_tensor(1).tolist() == [1.5, -2.0]
    assert it.run(np.zeros(2, np.float32))["y"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either model_path or model_content"),
        ({"model_path": "missing.tflite"}, "missing.tflite"),
        ({"model_content": b"no model"}, "."),
        ({"model_path": "x", "num_threads": 0}, "num_threads is 0"),
        ({"model_path": "x", "arithmetic": "exact"}, "arithmetic is 'exact', expected one of reference"),
        ({"model_path": "x", "engine": "warp"}, "engine is 'warp'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(qcore.QCoreError, match=message):
        qcore.Interpreter(**arguments)
