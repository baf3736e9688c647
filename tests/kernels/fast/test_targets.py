"""Every tier's code, written for its processors on whatever processor this is: what cannot run here is at least made of what they have."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache, partial

import llvmlite.binding as llvm
import numpy as np
import pytest

from qcore.kernels.fast import backend, compiler, lowering
from qcore.kernels.fast.backend import optimized
from qcore.kernels.fast.compiler import Kernel
from qcore.kernels.fast.cpu import TIERS, Tier, generic
from qcore.kernels.fast.depthwise import Depthwise
from qcore.kernels.fast.lowering import LOWERINGS, lower
from qcore.kernels.fast.outputs import Codes
from qcore.kernels.fast.products import Product
from qcore.kernels.fast.program import Loop
from qcore.kernels.fast.reduction import Sums
from qcore.kernels.fast.site import Site
from qcore.kernels.fast.team import Part
from qcore.model import Model
from qcore.runtime import stages
from qcore.runtime.plan import Settings
from qcore.runtime.session import Session
from tests.conformance.harness import T, one_operator, random_inputs
from tests.kernels.fast import (
    test_convolution,
    test_elementwise,
    test_fused_sums,
    test_hybrid,
    test_int16x8,
    test_matrices,
    test_plain,
    test_pooling,
    test_real_elementwise,
    test_reduction,
    test_resize,
    test_softmax,
    test_transposed,
    test_word_pairs,
)
from tests.kernels.fast.compare import assert_fast

ARITHMETICS = ["reference", "builtin", "xnnpack"]

TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}

DOTS = {"avx512": "vpdpbusd", "avxvnni": "vpdpbusd", "avx2": "vpmaddwd", "i8mm": "usdot", "dotprod": "sdot"}
"""What multiplies codes and weights of 8 bits, by tier."""

COUNTS = DOTS | {"dotprod": "udot"}
"""What adds codes up."""

CONV = test_convolution.CONV
WEIGHTED = {
    "pixels": ("CONV_2D", [1, 9, 9, 16], [64, 1, 1, 16], [1, 9, 9, 64], CONV),
    "windows": ("CONV_2D", [1, 2, 2, 8], [64, 3, 3, 8], [1, 2, 2, 64], CONV),
    "depthwise": ("DEPTHWISE_CONV_2D", [1, 9, 9, 64], [1, 3, 3, 64], [1, 9, 9, 64], CONV | {"depth_multiplier": 1}),
    "dense": ("FULLY_CONNECTED", [2, 40], [64, 40], [2, 64], test_convolution.DENSE),
}


def sums_of_codes() -> list[Model]:
    """Operators that add up codes of 8 bits or products of them."""
    rng, made = np.random.default_rng(1), []
    for case in WEIGHTED.values():
        made += [module.model(rng, *case) for module in (test_convolution, test_hybrid)]
    for operator, filter, options in (("CONV_2D", [20, 3, 2, 6], {}), ("DEPTHWISE_CONV_2D", [1, 3, 2, 6], {"depth_multiplier": 1})):
        made.append(test_convolution.uint8_model(rng, operator, filter, options, 151))
    made += [test_transposed.model(rng, dtype, "doubled") for dtype in ("int8", "float32")]
    made += [test_matrices.model(rng, *test_matrices.CASES["batches"], adj_y=adj_y) for adj_y in (False, True)]
    made.append(test_matrices.model(rng, [5, 16], [16, 64], dtype="float32", y_dtype="int8", constant=True))
    for dtype, zero_points in (("int8", (3, -5)), ("uint8", (255, 0))):
        made += [test_reduction.model(name, [1, 7, 7, 80], [1, 2], dtype=dtype, zero_points=zero_points) for name in ("MEAN", "SUM")]
    return made


def models() -> list[Model]:
    """At least one operator for each row of the table of lowerings."""
    made = sums_of_codes()
    made += [test_int16x8.model(np.random.default_rng(2), *case) for case in WEIGHTED.values()]
    made += [make() for make in test_fused_sums.MODELS.values()]
    made += [test_pooling.model(operator, "overlapping, padded") for operator in ("AVERAGE_POOL_2D", "MAX_POOL_2D")]
    made += [test_resize.model("RESIZE_BILINEAR", [1, 5, 4, 20], [9, 11], dtype=dtype) for dtype in ("int8", "uint8")]
    made += [test_resize.model("RESIZE_NEAREST_NEIGHBOR", [1, 5, 4, 20], [9, 11]), test_softmax.model([3, 100])]
    made += [test_elementwise.pair(operator, [9, 100], [9, 100]) for operator in ("ADD", "MUL", "SQUARED_DIFFERENCE", "EQUAL", "LESS")]
    made += [test_word_pairs.model(operator, [9, 100], [9, 1], (0.02, 0.03, 0.04)) for operator in ("ADD", "SUB", "MUL")]
    made += [test_plain.model(operator, "int8", [9, 100], [100]) for operator in ("MAXIMUM", "MINIMUM")]
    made += [test_plain.model(operator, "float32", [9, 100], [9, 1]) for operator in ("MAXIMUM", "LESS", "DIV")]
    made += [test_real_elementwise.model(operator, 300) for operator in ("EXP", "ROUND", "RELU6", "LEAKY_RELU")]
    real, code = partial(T, "float32"), partial(T, "int8", scale=0.1, zero_point=3)
    axes = T("int32", [2], value=[1, 2])
    made += [one_operator(name, [real([2, 5, 4, 37]), axes], [real([2, 37])], {"keep_dims": False}) for name in ("MEAN", "SUM")]
    made += [one_operator(name, [real([3, 37])], [real([3, 37])]) for name in ("LOGISTIC", "HARD_SWISH")]
    made.append(one_operator("SOFTMAX", [real([3, 37])], [real([3, 37])], {"beta": 1.0}))
    window = {"filter_height": 3, "filter_width": 2, "stride_h": 1, "stride_w": 1, "padding": "VALID", "fused_activation_function": "NONE"}
    made.append(one_operator("AVERAGE_POOL_2D", [real([1, 7, 5, 37])], [real([1, 5, 4, 37])], window))
    made.append(one_operator("ADD", [real([300]), real([300])], [real([300])], {"fused_activation_function": "RELU"}))
    for one in (code([300]), T("int16", [300], 0.1, 0)):
        made += [one_operator("QUANTIZE", [real([300])], [one]), one_operator("DEQUANTIZE", [one], [real([300])], version=3)]
    made.append(one_operator("LOGISTIC", [code([300])], [T("int8", [300], 1 / 256, -128)]))
    made.append(one_operator("RESHAPE", [code([2, 3, 5]), T("int32", [2], value=[6, 5])], [code([6, 5])]))
    made.append(one_operator("CONCATENATION", [code([2, 30]), code([2, 9])], [code([2, 39])], {"axis": 1}, version=2))
    made.append(one_operator("PAD", [code([2, 9]), T("int32", [2, 2], value=[[0, 0], [1, 2]])], [code([2, 12])]))
    return made


@cache
def lowered(tier: Tier) -> tuple[set[str], list[Kernel]]:
    """Names of the reference's kernels that were lowered, and the native ones that they became."""
    references: set[str] = set()
    natives: dict[Kernel, None] = {}

    def noted(site: Site) -> list[stages.Call]:
        calls = lower(site)
        function = getattr(site.step.kernel, "func", site.step.kernel)
        references.add(f"{function.__module__}.{function.__qualname__}".removeprefix("qcore."))
        return calls

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "tier", lambda: tier)
        for module in (stages, lowering):
            patch.setattr(module, "lower", noted)
        for model in models():
            for arithmetic in ARITHMETICS:
                executor = Session(model, Settings(arithmetic)).executor()
                executor.allocate()
                for one in stages.lowered(executor.allocated(), executor.values):
                    natives |= dict.fromkeys(call.kernel for call in one.calls)
    return references, list(natives)


@cache
def machine(tier: Tier) -> llvm.TargetMachine:
    """A processor that has what the tier needs, and no more."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    features = ",".join(f"+{need}" for need in tier.needs)
    return llvm.Target.from_triple(TARGETS[tier.family]).create_target_machine(features=features, opt=3)


@cache
def instructions(kernel: Kernel, tier: Tier) -> list[str]:
    """Names of the instructions of a kernel's code."""
    text = kernel.emit("kernel", tier).finish()
    # LLVM ends the process where it knows no instruction of the target's.
    others = {"x86_64": "llvm.aarch64.", "aarch64": "llvm.x86."}[tier.family]
    assert others not in text
    return re.findall(r"^\t(?:\{vex\}\s+)?([a-z]\w*)", machine(tier).emit_assembly(optimized(text, machine(tier))), re.M)


def test_every_row_of_the_table_of_lowerings_is_here():
    assert lowered(generic("aarch64"))[0] == set(LOWERINGS)


@pytest.mark.parametrize("tier", [tier for tier in (*TIERS, generic("aarch64")) if tier.family == "aarch64"], ids=lambda tier: tier.name)
def test_every_kernel_compiles_for_aarch64(tier):
    kernels = [*lowered(tier)[1], Loop(), *(Part(role) for role in ("begin", "lead", "watch"))]
    for kernel in kernels:
        assert "ret" in instructions(kernel, tier), kernel


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_products_are_those_of_the_tier(tier):
    """Each sum of each step is one instruction, or two where it multiplies pairs."""
    at_once = 2 if tier.name == "avx2" else 1
    summing = [kernel for kernel in lowered(tier)[1] if isinstance(kernel, Product | Depthwise) and not kernel.words]
    kernels = {replace(kernel, output=Codes("narrow")) for kernel in summing}  # whatever becomes of the sums
    assert {type(kernel) for kernel in kernels} == {Product, Depthwise}
    for kernel in kernels:
        sums = kernel.rows * kernel.vectors * (kernel.taps if isinstance(kernel, Depthwise) else 1)
        assert instructions(kernel, tier).count(DOTS[tier.name]) >= at_once * sums, kernel


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_codes_are_added_up_by_the_same_instructions(tier):
    for kernel in lowered(tier)[1]:
        if isinstance(kernel, Sums):
            assert COUNTS[tier.name] in instructions(kernel, tier), kernel


def with_functions_for_dots(instructions: str) -> str:
    """The same, with what any processor can do for the instructions of aarch64 that add four products of bytes to each lane."""
    instructions = re.sub(r"^declare .*llvm\.aarch64\.neon\..*$", "", instructions, flags=re.M)
    instructions = re.sub(r'@"?llvm\.aarch64\.neon\.(\w+)\.v4i32\.v16i8"?', r"@\1", instructions)
    for name, extensions in {"usdot": ("zext", "sext"), "sdot": ("sext", "sext"), "udot": ("zext", "zext")}.items():
        code, wide = "", "<16 x i32>"
        for byte, extension in zip("xw", extensions, strict=True):
            code += f"%wide_{byte} = {extension} <16 x i8> %{byte} to {wide}\n"
        code += f"%product = mul {wide} %wide_x, %wide_w\n%sum0 = add <4 x i32> %total, zeroinitializer\n"
        for k in range(4):
            lanes = ", ".join(f"i32 {4 * lane + k}" for lane in range(4))
            code += f"%part{k} = shufflevector {wide} %product, {wide} poison, <4 x i32> <{lanes}>\n"
            code += f"%sum{k + 1} = add <4 x i32> %sum{k}, %part{k}\n"
        arguments = "<4 x i32> %total, <16 x i8> %x, <16 x i8> %w"
        instructions += f"define internal <4 x i32> @{name}({arguments}) alwaysinline {{\n{code}ret <4 x i32> %sum4\n}}\n"
    return instructions


@pytest.mark.parametrize("tier", [tier for tier in TIERS if tier.family == "aarch64"], ids=lambda tier: tier.name)
def test_what_the_tiers_of_aarch64_sum_up_is_exact(tier, monkeypatch):
    """Their kernels run here, with functions in the place of the instructions: whether codes are unsigned or signed, no bit differs."""
    monkeypatch.setattr(stages, "tier", lambda: tier)
    monkeypatch.setattr(compiler, "target_features", lambda _: "")
    monkeypatch.setattr(compiler, "_compilers", {})
    monkeypatch.setattr(backend, "optimized", lambda text, machine: optimized(with_functions_for_dots(text), machine))
    for model in sums_of_codes():
        assert_fast(model, random_inputs(model, np.random.default_rng(3)))
