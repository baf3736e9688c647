"""Options of custom operators that are a FlexBuffers map of numbers by name, as those that TensorFlow Lite brings along have them.

Whatever the bytes, reading ends quickly: a name is found by halving, and nothing but single numbers is decoded.

Source: https://flatbuffers.dev/flexbuffers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flatbuffers import flexbuffers

from qcore.kernels.common import INT32_MAX, INT32_MIN
from qcore.kernels.opdef import Node


@dataclass(frozen=True)
class CustomOptions:
    """The options of a custom operator; one that is not there, or null, has its default."""

    node: Node
    table: Any

    def real(self, name: str, default: float = 0.0) -> float:
        """A number.

        Raises:
            ModelError: it is none, or the bytes are damaged.
        """
        try:
            found = self.table[name]
            return default if found.IsNull else float(found.AsFloat)
        except Exception as error:  # of damaged bytes, the reader raises whatever it stumbles over
            if isinstance(error, KeyError) and error.args == (name,):
                return default
            raise self.node.error(f"option {name} cannot be read as a number") from error

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number of 32 bits; a fraction is cut off.

        Raises:
            ModelError: it is no number or does not fit, or the bytes are damaged.
        """
        value = self.real(name, default)
        self.node.require(INT32_MIN <= value <= INT32_MAX, f"option {name} is {value}, expected an int32")
        return int(value)


def custom_options(node: Node) -> CustomOptions:
    """The options of a custom operator.

    Raises:
        ModelError: they are no FlexBuffers map.
    """
    try:
        return CustomOptions(node, flexbuffers.GetRoot(node.custom_options).AsMap)
    except Exception as error:  # see above
        raise node.error(f"{len(node.custom_options)} bytes of custom options, which are no FlexBuffers map") from error
