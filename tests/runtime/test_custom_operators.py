"""Custom operators: the worked example of the docs runs as printed, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flatbuffers import flexbuffers

import qcore
from qcore.kernels.opdef import OpDef, Step
from qcore.model import Buffer, Model, Operator, OperatorCode, Subgraph, Tensor

PAGE = Path(__file__).parents[2] / "docs" / "custom-operators.md"


def clip_model(limit: float) -> Model:
    tensors = [Tensor(name, "float32", (3,), Buffer()) for name in ("x", "y")]
    options = np.frombuffer(bytes(flexbuffers.Dumps({"limit": limit})), np.uint8)
    operator = Operator(OperatorCode("CUSTOM", custom_code="SymmetricClip"), [0], [1], custom_options=options)
    return Model([Subgraph("main", tensors, [0], [1], [operator])])


def test_the_example_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    qcore.save(clip_model(1.5), tmp_path / "clip.tflite")
    monkeypatch.chdir(tmp_path)
    code = PAGE.read_text().split("```python\n")[1].split("```")[0]
    exec(compile(code, str(PAGE), "exec"), {"__name__": "example"})
    assert "[-1.5,  0.5,  1.5]" in capsys.readouterr().out


def test_an_operator_that_was_not_given_is_named() -> None:
    with pytest.raises(qcore.UnsupportedError, match=r"SymmetricClip \(op 0, output 'y'\): qcore does not have this operator"):
        qcore.Interpreter(model_content=clip_model(1)).allocate_tensors()


def test_a_fault_in_a_custom_kernel_is_an_internal_error_that_keeps_its_cause() -> None:
    def kernel(_: None, x: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("mine")

    definition = OpDef("SymmetricClip", lambda node: Step(kernel, None, (node.input(0).shape,)), ("float32",), (1, 1))
    interpreter = qcore.Interpreter(model_content=clip_model(1), custom_ops={"SymmetricClip": definition})
    interpreter.allocate_tensors()
    with pytest.raises(qcore.InternalError, match="ZeroDivisionError: mine") as raised:
        interpreter.invoke()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_kernel_that_gives_another_shape_than_it_said_is_refused() -> None:
    definition = OpDef("SymmetricClip", lambda node: Step(lambda _, x: x[:1], None, (node.input(0).shape,)), ("float32",), (1, 1))
    interpreter = qcore.Interpreter(model_content=clip_model(1), custom_ops={"SymmetricClip": definition})
    interpreter.allocate_tensors()
    with pytest.raises(qcore.InternalError, match=r"the kernel gave float32\[1\], expected float32\[3\]"):
        interpreter.invoke()
