"""HASHTABLE, HASHTABLE_IMPORT, HASHTABLE_FIND, HASHTABLE_SIZE: tables filled once, found again in later invokes, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qcore
from qcore.errors import QCoreError
from tests.kernels.tables import table_model

WORDS = np.array([b"one", b"two", b"", b"two"], object)
NUMBERS = np.array([1, 2, 0, 22], np.int64)


def invoke(interpreter: Any, *arrays: np.ndarray) -> list[Any]:
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.resize_tensor_input(details["index"], array.shape)
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]).tolist() for details in interpreter.get_output_details()]


def test_numbers_by_word_and_words_by_number() -> None:
    """Of two values for a key the first holds; a key that is not there has the default."""
    wanted = np.array([[b"two"], [b"three"], [b""]], object)
    assert invoke(qcore.Interpreter(model_content=table_model("string", "int64")), WORDS, NUMBERS, wanted, np.array([-7, 8])) == [
        [[2], [-7], [0]],
        [3],
    ]
    default = np.array([b"?"], object)
    got = invoke(qcore.Interpreter(model_content=table_model("int64", "string")), NUMBERS, WORDS, np.array([22, 3]), default)
    assert got == [[b"two", b"?"], [4]]


def test_a_table_is_filled_once() -> None:
    interpreter = qcore.Interpreter(model_content=table_model("string", "int64"))
    invoke(interpreter, WORDS, NUMBERS, WORDS, np.array([-1]))
    other = np.array([b"three"], object), np.array([3])
    assert invoke(interpreter, *other, np.array([b"one", b"three"], object), np.array([-1])) == [[1, -1], [3]]


def test_an_empty_table_and_no_keys() -> None:
    none, no_words = np.zeros(0, np.int64), np.zeros(0, object)
    interpreter = qcore.Interpreter(model_content=table_model("string", "int64"))
    assert invoke(interpreter, no_words, none, WORDS[:1], np.array([5])) == [[5], [0]]
    assert invoke(interpreter, no_words, none, no_words, np.array([5])) == [[], [0]]


def test_refusals() -> None:
    def run(model: Any) -> None:
        invoke(qcore.Interpreter(model_content=model), WORDS, NUMBERS, WORDS, np.array([-1]))

    model = table_model("string", "int64", fill=False)
    with pytest.raises(QCoreError, match=r"^HASHTABLE_FIND \(op 1.*: table 3 is read before anything is imported into it"):
        invoke(qcore.Interpreter(model_content=model), WORDS, np.array([-1]))
    model = table_model("string", "int64")
    model.subgraphs[0].operators[0].options.fields["value_dtype"] = "string"
    with pytest.raises(QCoreError, match="keys are string and values string, qcore has int64 with string and string with int64"):
        run(model)
    model = table_model("string", "int64")
    model.subgraphs[0].operators[0].options.fields |= {"key_dtype": "int64", "value_dtype": "string"}
    with pytest.raises(QCoreError, match=r"keys and values are \('string', 'int64'\), in table 3 they are \('int64', 'string'\)"):
        run(model)
    with pytest.raises(QCoreError, match=r"keys have shape \[4\], values \[2\]"):
        invoke(qcore.Interpreter(model_content=table_model("string", "int64")), WORDS, NUMBERS[:2], WORDS, np.array([-1]))
    with pytest.raises(QCoreError, match=r"has shape \[0\], expected a value"):
        invoke(qcore.Interpreter(model_content=table_model("string", "int64")), WORDS, NUMBERS, WORDS, np.zeros(0, np.int64))
