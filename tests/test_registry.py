"""What the table of operators promises, for every row."""

from pathlib import Path

import pytest

from qcore.cli import weight_page
from qcore.cli.operators import markdown
from qcore.kernels.opdef import OpDef
from qcore.kernels.registry import CUSTOM_OPERATORS, OPERATORS, ROWS, look_up
from qcore.model import OperatorCode
from qcore.numerics.dtypes import ELEMENT_TYPES
from qcore.schema import default_options
from qcore.schema.description import ENUMS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", OPERATORS)
def test_a_builtin_operator_is_one_of_the_schema(name: str) -> None:
    assert name in ENUMS["BuiltinOperator"].names
    default_options(name)


@pytest.mark.parametrize("definition", [*OPERATORS.values(), *CUSTOM_OPERATORS.values()], ids=[*OPERATORS, *CUSTOM_OPERATORS])
def test_a_row_is_sound(definition: OpDef) -> None:
    assert set(definition.types) <= set(ELEMENT_TYPES)
    assert len(set(definition.types)) == len(definition.types)
    assert set(definition.tolerances) <= set(definition.types)
    assert all(tolerance.reason for tolerance in definition.tolerances.values())
    assert 0 <= definition.inputs[0] <= definition.inputs[1]
    assert 0 <= definition.outputs[0] <= definition.outputs[1]


def test_a_row_has_the_name_that_it_is_found_by() -> None:
    for table in (OPERATORS, CUSTOM_OPERATORS):
        assert [definition.name for definition in table.values()] == list(table)


def test_no_name_stands_twice() -> None:
    assert sum(len(rows.split()) for rows in ROWS.values()) == len(OPERATORS)


def test_builtin_names_and_custom_codes_are_kept_apart() -> None:
    assert look_up(OperatorCode("ADD")) is OPERATORS["ADD"]
    assert look_up(OperatorCode("CUSTOM", custom_code="ADD")) is None
    for name, definition in CUSTOM_OPERATORS.items():
        assert look_up(OperatorCode("CUSTOM", custom_code=name)) is definition
        assert look_up(OperatorCode(name)) is None
    assert look_up(OperatorCode("CUSTOM")) is None


def test_the_operator_page_is_the_table() -> None:
    assert (ROOT / "docs" / "operators.md").read_text() == markdown(), "run: python -m qcore operators --markdown > docs/operators.md"


def test_the_page_of_weights_is_the_table() -> None:
    expected = weight_page.markdown()
    assert (ROOT / "docs" / "int4.md").read_text() == expected, "run: python -m qcore operators --weights --markdown > docs/int4.md"
