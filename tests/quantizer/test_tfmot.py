"""Models of tensorflow-model-optimization keep every range and every code. Needs its environment, see CONTRIBUTING.md."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qcore
from qcore.model import Model, Quantization
from qcore.quantizer import quantize_model
from tests.quantizer.builder import names
from tests.quantizer.flow import flow

MODELS = ("images", "mobile", "dense")
FIXED = {(1 / 256, -128), (1 / 128, 0)}
"""Parameters of SOFTMAX and TANH."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes."""
    python = os.environ.get("QCORE_TFMOT_PYTHON")
    if python is None:
        if not all(importlib.util.find_spec(name) for name in ("tensorflow_model_optimization", "tf_keras")):
            pytest.skip("needs tensorflow-model-optimization and tf_keras, here or in the environment of QCORE_TFMOT_PYTHON")
        python = sys.executable
    path = tmp_path_factory.mktemp("tfmot")
    script = Path(__file__).with_name("tfmot_models.py")
    done = subprocess.run([python, str(script), str(path)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return path


def quantized(folder: Path, name: str) -> Model:
    return quantize_model(qcore.load(folder / f"{name}_float.tflite"), ranges="graph", float_fallback=False)


def int8_params(model: Model) -> list[tuple[Quantization, bool]]:
    """Of every tensor of int8 codes, and whether it is a constant."""
    tensors = [tensor for tensor in model.subgraphs[0].tensors if tensor.dtype == "int8"]
    return [(tensor.quantization, tensor.is_constant) for tensor in tensors if tensor.quantization is not None]


def wanted(entry: dict[str, Any]) -> tuple[Any, Any]:
    """Scales and zero points of what training found, behind a normalization those of each channel."""
    low, high = (np.float32(np.squeeze(entry[end])) for end in ("low", "high"))
    params = qcore.choose_params(low, high, "int8", narrow_range=entry["kernel"])
    return params.scale * np.abs(entry.get("factor", [1.0])), params.zero_point


@pytest.mark.parametrize("name", MODELS)
def test_ranges_are_those_that_training_found(name: str, folder: Path) -> None:
    """Of activations to the bit; of weights to that of the normalization, which the converter folds in double."""
    entries = json.loads((folder / f"{name}.json").read_text())
    activations = {(scale.item(), zero.item()) for scale, zero in (wanted(e) for e in entries if not e["kernel"])}
    kernels = [wanted(entry)[0] for entry in entries if entry["kernel"]]
    used = set()
    weights = 0
    for quantization, is_constant in int8_params(quantized(folder, name)):
        if is_constant:
            scale = quantization.scale
            assert any(np.allclose(scale, np.broadcast_to(k, scale.shape), rtol=5e-7) for k in kernels if k.size in (1, scale.size))
            weights += 1
        else:
            used.add((quantization.scale.item(), quantization.zero_point.item()))
    assert weights == len(kernels)
    assert used <= activations | FIXED
    assert used >= carried(qcore.load(folder / f"{name}_float.tflite"))


def carried(model: Model) -> set[tuple[float, int]]:
    """Of activations, as the float file has them in uint8. Where training made a range before a join, it left it out."""
    tensors = model.subgraphs[0].tensors
    pairs = [(tensors[o.inputs[0]], tensors[o.outputs[0]].quantization) for o in model.subgraphs[0].operators if o.name == "QUANTIZE"]
    return {(q.scale.item(), q.zero_point.item() - 128) for real, q in pairs if q is not None and not real.is_constant}


@pytest.mark.parametrize("name", ["images", "mobile"])
def test_without_being_told_the_file_is_the_converters(name: str, folder: Path) -> None:
    """Scales to the last bit of float32: the converter has them in double where the float file has float32."""
    got, want = quantize_model(qcore.load(folder / f"{name}_float.tflite")), qcore.load(folder / f"{name}_int8.tflite")
    for (what, ours), (_, theirs) in zip(flow(got, False), flow(want, False), strict=True):
        if isinstance(ours, dict) and "scale" in ours:
            np.testing.assert_allclose(ours.pop("scale"), theirs.pop("scale"), rtol=3e-7, err_msg=what)
        assert ours == theirs, what


def test_a_range_that_the_converter_drops_before_a_join_is_kept(folder: Path) -> None:
    """Training rounds there twice, and the first range clips too."""
    found = names(quantized(folder, "mobile"))
    assert found.count("QUANTIZE") == names(qcore.load(folder / "mobile_int8.tflite")).count("QUANTIZE") + 1


def test_a_normalized_dense_layer_is_of_integers_too(folder: Path) -> None:
    """The converter leaves it in floating point."""
    assert "MUL" in names(qcore.load(folder / "dense_float.tflite"))
    assert names(quantized(folder, "dense")) == ["QUANTIZE", *["FULLY_CONNECTED"] * 2, "RELU", "FULLY_CONNECTED", "TANH", "DEQUANTIZE"]


@pytest.mark.parametrize("name", MODELS)
def test_it_computes_what_training_saw(name: str, folder: Path) -> None:
    """To a step of what the last activation reads: biases are rounded too, and kernels round halves to another side."""
    with np.load(folder / f"{name}.npz") as data:
        x, y = data["x"], data["y"]
    interpreter = qcore.Interpreter(model_content=quantized(folder, name))
    got = np.concatenate([next(iter(interpreter.run(sample[np.newaxis]).values())) for sample in x])
    assert np.abs(got - y).max() < 0.05
    assert np.abs(got - y).mean() < 0.005
