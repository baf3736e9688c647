"""What the table of operators promises, for every row."""

from pathlib import Path

import pytest

from qcore.cli.operators import markdown
from qcore.kernels.opdef import OpDef
from qcore.kernels.registry import OPERATORS
from qcore.numerics.dtypes import ELEMENT_TYPES
from qcore.schema import default_options
from qcore.schema.description import ENUMS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("definition", OPERATORS.values(), ids=OPERATORS)
def test_a_row_is_sound(definition: OpDef) -> None:
    assert definition.name in ENUMS["BuiltinOperator"].names
    assert set(definition.types) <= set(ELEMENT_TYPES)
    assert len(set(definition.types)) == len(definition.types)
    assert set(definition.tolerances) <= set(definition.types)
    assert all(tolerance.reason for tolerance in definition.tolerances.values())
    assert 0 <= definition.inputs[0] <= definition.inputs[1]
    assert 0 <= definition.outputs[0] <= definition.outputs[1]
    default_options(definition.name)


def test_no_name_stands_twice() -> None:
    from qcore.kernels import registry

    assert len(registry._ROWS) == len(OPERATORS)


def test_the_operator_page_is_the_table() -> None:
    assert (ROOT / "docs" / "operators.md").read_text() == markdown(), "run: python -m qcore operators --markdown > docs/operators.md"
