"""One-operator models of custom operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from flatbuffers import flexbuffers

from qcore.model import Model
from tests.conformance.harness import T, one_operator


def custom_operator(code: str, inputs: Sequence[T | None], outputs: Sequence[T], options: Mapping[str, float] | bytes) -> Model:
    """A model that holds one custom operator, whose options are a FlexBuffers map or any bytes."""
    model = one_operator("CUSTOM", inputs, outputs)
    data = options if isinstance(options, bytes) else bytes(flexbuffers.Dumps(dict(options)))
    model.operator_codes[0].custom_code = code
    model.subgraphs[0].operators[0].custom_options = np.frombuffer(data, np.uint8)
    return model
