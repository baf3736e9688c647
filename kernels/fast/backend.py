"""What qcore has LLVM do. Importing this loads LLVM's library, some 40 MB: what is in the cache is run without it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import llvmlite.binding as llvm


class Backend:
    """Makes object files of LLVM's instructions, and loads them; code lives as long as this does.

    Args:
        cpu: LLVM's name of the processor; "" for any.
        features: LLVM's list of those that code may use.
    """

    def __init__(self, cpu: str, features: str):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = partial(llvm.Target.from_default_triple().create_target_machine, cpu=cpu, features=features, opt=3, jit=True)
        self._machine, self._movable = machine(), machine(reloc="pic", codemodel="small")
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self._machine)

    def compiled(self, instructions: str, movable: bool = False) -> bytes:
        """The object file of a module; movable: it finds its constants by their distance, to become an image, and is not for ``loaded``."""
        machine = self._movable if movable else self._machine
        return bytes(machine.emit_object(optimized(instructions, machine)))

    def loaded(self, objects: Mapping[str, bytes]) -> list[int]:
        """The functions of object files, by their names."""
        for content in objects.values():
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(content))
        self._engine.finalize_object()
        return [self._engine.get_function_address(name) for name in objects]


def optimized(instructions: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """A module as it is to be turned into a machine's code."""
    module = llvm.parse_assembly(instructions)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = False
    options.loop_vectorization = False
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def describe() -> tuple[str, str, str, dict[str, bool]]:
    """This processor: LLVM's version, its names of the target and of the processor, and what features there are."""
    version = ".".join(map(str, llvm.llvm_version_info))
    return version, llvm.get_process_triple(), llvm.get_host_cpu_name(), dict(llvm.get_host_cpu_features())
