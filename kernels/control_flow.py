"""IF, WHILE, CALL_ONCE, STABLEHLO_CASE, STABLEHLO_COMPOSITE: operators that run other subgraphs of the model.

A subgraph takes the operator's tensors by position, in whatever shape they have at run time. A subgraph that calls itself, and a loop
of more than the session's ``loop_limit`` iterations, are refused.

Source (TensorFlow Lite 2.21): tflite/kernels/if.cc, while.cc, call_once.cc, stablehlo_case.cc, stablehlo_composite.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qcore.errors import ModelError
from qcore.kernels.opdef import Array, Node, OpDef, Operand, Session, Step

MANY = 1 << 16
"""More tensors than any operator has."""


@dataclass(frozen=True)
class Branches:
    """Subgraphs of which one is run: by position for STABLEHLO_CASE, (else, then) for IF."""

    session: Session
    subgraphs: tuple[int, ...]


@dataclass(frozen=True)
class Loop:
    """Subgraphs of a WHILE."""

    session: Session
    condition: int
    body: int
    where: str


@dataclass(frozen=True)
class Once:
    """The subgraph of a CALL_ONCE; the key remembers that it has run."""

    session: Session
    subgraph: int

    @property
    def key(self) -> tuple[str, int]:
        """Where the session remembers that the subgraph has run."""
        return "CALL_ONCE", self.subgraph


def require_types(node: Node, what: str, given: Sequence[Operand | None], declared: Sequence[Operand]) -> None:
    """Refuse a subgraph whose tensors do not match the operator's in number or type."""
    node.require(len(given) == len(declared), f"{what} has {len(declared)} tensors, the operator {len(given)}")
    for k, (mine, other) in enumerate(zip(given, declared, strict=True)):
        node.require(mine is not None, f"tensor {k} for {what} is left out")
        assert mine is not None
        node.require(mine.dtype == other.dtype, f"tensor {k} '{mine.name}' is {mine.dtype}, {what} has {other.dtype}")


def prepare_branches(node: Node, subgraphs: tuple[int, ...], inputs: Sequence[Operand | None]) -> Step:
    """Check every branch against the operator's tensors."""
    session = node.needs_session()
    for subgraph in subgraphs:
        takes, gives = session.signature(subgraph)
        require_types(node, f"the inputs of subgraph {subgraph}", inputs, takes)
        require_types(node, f"the outputs of subgraph {subgraph}", node.outputs, gives)
    return Step(run_branch, Branches(session, subgraphs), (None,) * len(node.outputs))


def prepare_if(node: Node) -> Step:
    """IF: a bool, then what the branches take."""
    condition = node.input(0)
    node.require(
        condition.dtype == "bool" and condition.size == 1, f"condition is {condition.dtype}{list(condition.shape)}, expected one bool"
    )
    branches = node.options["else_subgraph_index"], node.options["then_subgraph_index"]
    return prepare_branches(node, branches, node.inputs[1:])


def prepare_case(node: Node) -> Step:
    """STABLEHLO_CASE: the branch's number, then what the branches take; any other number runs the last branch."""
    index = node.input(0)
    node.require(index.dtype == "int32" and index.size == 1, f"branch index is {index.dtype}{list(index.shape)}, expected one int32")
    branches = node.options["branch_subgraph_indices"]
    node.require(branches is not None and len(branches) > 0, "has no branches")
    return prepare_branches(node, tuple(int(b) for b in branches), node.inputs[1:])


def prepare_composite(node: Node) -> Step:
    """STABLEHLO_COMPOSITE: runs its decomposition."""
    session, subgraph = node.needs_session(), node.options["decomposition_subgraph_index"]
    takes, gives = session.signature(subgraph)
    require_types(node, f"the inputs of subgraph {subgraph}", node.inputs, takes)
    require_types(node, f"the outputs of subgraph {subgraph}", node.outputs, gives)
    return Step(run_composite, Branches(session, (subgraph,)), (None,) * len(node.outputs))


def prepare_while(node: Node) -> Step:
    """WHILE: the loop's variables, in and out."""
    session = node.needs_session()
    condition, body = node.options["cond_subgraph_index"], node.options["body_subgraph_index"]
    takes, gives = session.signature(condition)
    require_types(node, f"the inputs of subgraph {condition}", node.inputs, takes)
    node.require(len(gives) == 1 and gives[0].dtype == "bool", f"the condition, subgraph {condition}, gives no single bool")
    takes, gives = session.signature(body)
    require_types(node, f"the inputs of subgraph {body}", node.inputs, takes)
    require_types(node, f"the outputs of subgraph {body}", node.inputs, gives)
    require_types(node, f"the inputs of subgraph {body}", node.outputs, takes)
    return Step(run_loop, Loop(session, condition, body, node.where), (None,) * len(node.outputs))


def prepare_once(node: Node) -> Step:
    """CALL_ONCE: a subgraph without inputs and outputs."""
    session, subgraph = node.needs_session(), node.options["init_subgraph_index"]
    takes, gives = session.signature(subgraph)
    node.require(not takes and not gives, f"subgraph {subgraph} has {len(takes)} inputs and {len(gives)} outputs, expected none")
    return Step(run_once, Once(session, subgraph), ())


def run_branch(p: Branches, index: Array, *inputs: Array) -> tuple[Array, ...]:
    """Run the branch of that number; the last one where there is none of that number."""
    chosen = int(index.reshape(()))
    return p.session.call(p.subgraphs[chosen if 0 <= chosen < len(p.subgraphs) else -1], inputs)


def run_composite(p: Branches, *inputs: Array) -> tuple[Array, ...]:
    """Run the only subgraph."""
    return p.session.call(p.subgraphs[0], inputs)


def run_loop(p: Loop, *variables: Array) -> tuple[Array, ...]:
    """Run the body on its own outputs while the condition, on the same variables, is true.

    Raises:
        ModelError: the loop goes on beyond the session's limit, or the condition gives no single bool.
    """
    for _ in range(p.session.loop_limit + 1):
        (go_on,) = p.session.call(p.condition, variables)
        if go_on.size != 1:
            raise ModelError(f"{p.where}: the condition gives bool{list(go_on.shape)}, expected one element")
        if not go_on.reshape(()):
            return tuple(v.copy() for v in variables)
        variables = p.session.call(p.body, variables)
    raise ModelError(f"{p.where}: goes on after {p.session.loop_limit} iterations, the loop limit")


def run_once(p: Once) -> tuple[Array, ...]:
    """Run the subgraph unless it has run before in this session."""
    if p.key not in p.session.resources:
        p.session.resources[p.key] = True
        p.session.call(p.subgraph, ())
    return ()


IF = OpDef("IF", prepare_if, ("bool",), (1, MANY), (0, MANY), pure=False)
WHILE = OpDef("WHILE", prepare_while, (), (0, MANY), (0, MANY), pure=False)
CALL_ONCE = OpDef("CALL_ONCE", prepare_once, (), (0, 0), (0, 0), pure=False)
STABLEHLO_CASE = OpDef("STABLEHLO_CASE", prepare_case, ("int32",), (1, MANY), (0, MANY), pure=False)
STABLEHLO_COMPOSITE = OpDef("STABLEHLO_COMPOSITE", prepare_composite, (), (0, MANY), (0, MANY), pure=False)
