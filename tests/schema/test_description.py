"""The description of the schema against two independent generators' output: the ``tflite`` package and ai-edge-litert's."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from types import ModuleType
from typing import Any

import pytest

from qcore.schema.description import ENUMS, SCALARS, TABLES, UNIONS, Enum, Field, TableType
from qcore.schema.options import options_table


def _namespace_of(name: str) -> dict[str, Any]:
    """Every class and function of the generated code, by name."""
    module = pytest.importorskip(name)
    modules: list[ModuleType] = [module]
    if hasattr(module, "__path__"):
        modules += [importlib.import_module(f"{name}.{info.name}") for info in pkgutil.iter_modules(module.__path__)]
    return {key: value for module in modules for key, value in vars(module).items()}


@pytest.fixture(scope="module", params=["ai_edge_litert.schema_py_generated", "tflite"])
def generated(request: pytest.FixtureRequest) -> dict[str, Any]:
    return _namespace_of(request.param)


def _key(name: str) -> str:
    return name.replace("_", "").lower()


def _constants(cls: type) -> dict[str, int]:
    return {name: value for name, value in vars(cls).items() if isinstance(value, int)}


class _Recorder:
    """Stands for a flatbuffers Builder, and keeps what it was asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments: self.calls.append((method, arguments))


def _record(function: Any) -> tuple[str, tuple[Any, ...]]:
    recorder = _Recorder()
    function(recorder, *([1] * (len(inspect.signature(function).parameters) - 1)))
    return recorder.calls[0]


def _fields(generated: dict[str, Any], table: str) -> dict[str, tuple[str, int, Any]]:
    """Field: (kind of slot, number, default), from the functions that add it."""
    fields = {}
    for name, function in generated.items():
        if match := re.fullmatch(f"{table}Add(.+)", name):
            method, arguments = _record(function)
            fields[_key(match[1])] = (method.removeprefix("Prepend").removesuffix("Slot").lower(), arguments[0], arguments[2])
    return fields


@pytest.mark.parametrize("enum", ENUMS.values(), ids=lambda enum: enum.name)
def test_every_enumeration_has_the_same_names_and_numbers(generated: dict[str, Any], enum: Enum) -> None:
    if enum.name not in generated:
        pytest.skip("not known there")
    theirs = _constants(generated[enum.name])
    ours = {name.upper() if enum.name == "TensorType" else name: number for name, number in enum.numbers.items()}
    assert {name: ours.get(name) for name in theirs} == theirs


@pytest.mark.parametrize("union", UNIONS)
def test_every_union_has_the_same_tables(generated: dict[str, Any], union: str) -> None:
    theirs = _constants(generated[union]) if union in generated else {}
    assert {name: UNIONS[union].index(name) for name in theirs} == theirs


def _expected(field: Field) -> tuple[str, int, Any]:
    if field.is_offset:
        return "uoffsettrelative", field.number, 0
    default = ENUMS[field.type].numbers[field.default] if field.kind == "enum" else field.default
    return field.stored_as, field.number, default


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_has_the_same_fields_numbers_types_and_defaults(generated: dict[str, Any], table: TableType) -> None:
    if f"{table.name}Start" not in generated:
        pytest.skip("not known there")
    theirs = _fields(generated, table.name)
    ours = {_key(field.name): _expected(field) for field in table.fields.values()}
    ours |= {_key(f"{f.name}_type"): ("uint8", f.number - 1, 0) for f in table.fields.values() if f.kind == "union"}
    assert {name: ours.get(name) for name in theirs} == theirs
    _, (slots,) = _record(generated[f"{table.name}Start"])
    assert slots <= table.slots


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_vector_has_elements_of_the_same_width(generated: dict[str, Any], table: TableType) -> None:
    for name, function in generated.items():
        if match := re.fullmatch(f"{table.name}Start(.+)Vector", name):
            field = next(field for field in table.fields.values() if _key(field.name) == _key(match[1]))
            _, (width, _, _) = _record(function)
            assert field.is_vector
            assert SCALARS[field.stored_as].size == width


def test_the_newest_generator_knows_nothing_that_is_missing_here() -> None:
    generated = _namespace_of("ai_edge_litert.schema_py_generated")
    tables = {name.removesuffix("Start") for name, value in generated.items() if name.endswith("Start") and inspect.isfunction(value)}
    assert tables == TABLES.keys()
    for name in tables:
        _, (slots,) = _record(generated[f"{name}Start"])
        assert slots == TABLES[name].slots, name
    classes = {name for name, value in generated.items() if inspect.isclass(value) and _constants(value)}
    assert classes == ENUMS.keys() | UNIONS.keys()
    for name in ENUMS:
        assert len(_constants(generated[name])) == len(ENUMS[name].names), name
    for name in UNIONS:
        assert len(_constants(generated[name])) == len(UNIONS[name]), name


def test_every_options_table_belongs_to_an_operator() -> None:
    used = {options_table(operator) for operator in ENUMS["BuiltinOperator"].names}
    assert used == {*UNIONS["BuiltinOptions"], *UNIONS["BuiltinOptions2"]}
