"""Runs tests made for WASI with the wasmtime of PyPI: python wasi_runner.py PROGRAM [FILTER...]

Each test has an instance of the program and a process to itself, because one that panics ends the
instance, and one that waits for ever in a call of the system can be ended in no other way.
A component (preview 2) gets the network of this machine; a module (preview 1) has none. Both see the
current folder as their root.
"""

import os
import pathlib
import signal
import sys
import tempfile

import wasmtime
from wasmtime import component

# How long a test may take, in seconds.
LIMIT = 60

# What a component begins with instead of a module's version.
COMPONENT = b"\0asm\x0d\0\x01\0"


class Program:
    def __init__(self, path):
        self.path = path
        code = pathlib.Path(path).read_bytes()
        configuration = wasmtime.Config()
        configuration.cache = True
        self.engine = wasmtime.Engine(configuration)
        self.is_component = code.startswith(COMPONENT)
        kind = component.Component if self.is_component else wasmtime.Module
        self.code = kind(self.engine, code)

    def run(self, *arguments):
        """Answers the status and everything that the program printed."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = pathlib.Path(folder, "out"), pathlib.Path(folder, "err")
            child = os.fork()
            if child == 0:
                signal.alarm(LIMIT)
                os._exit(self.status(arguments, out, err))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            said = [file.read_text(errors="replace") for file in (out, err) if file.exists()]
            if status == -signal.SIGALRM:
                said.append(f"took longer than {LIMIT} s")
            return status, "".join(said)

    def status(self, arguments, out, err):
        settings = wasmtime.WasiConfig()
        settings.argv = [self.path, *arguments]
        settings.inherit_env()
        settings.stdout_file = str(out)
        settings.stderr_file = str(err)
        settings.preopen_dir(".", "/")
        # The package offers these calls of the C library but has no methods for them yet.
        wasmtime._bindings.wasi_config_inherit_network(settings.ptr())
        wasmtime._bindings.wasi_config_allow_ip_name_lookup(settings.ptr(), True)
        store = wasmtime.Store(self.engine)
        store.set_wasi(settings)
        try:
            return self.start(store)
        except wasmtime.ExitTrap as end:
            return end.code
        except wasmtime.WasmtimeError:
            return 101

    def start(self, store):
        if not self.is_component:
            linker = wasmtime.Linker(self.engine)
            linker.define_wasi()
            linker.instantiate(store, self.code).exports(store)["_start"](store)
            return 0
        linker = component.Linker(self.engine)
        linker.add_wasip2()
        instance = linker.instantiate(store, self.code)
        # Which revision of the interface is exported depends on the compiler.
        for revision in range(20):
            interface = instance.get_export_index(store, f"wasi:cli/run@0.2.{revision}")
            if interface is not None:
                run = instance.get_export_index(store, "run", interface)
                result = instance.get_func(store, run)(store)
                return 0 if getattr(result, "tag", "ok") == "ok" else 1
        raise SystemExit("the program exports no wasi:cli/run")


def main(path, *filters):
    program = Program(path)
    listing = [word for word in filters if word not in ("--list", "--format=terse")]
    status, said = program.run("--list", "--format=terse", *listing)
    if status != 0:
        raise SystemExit(said)
    if "--list" in filters:
        print(said)
        return 0
    tests = [line.removesuffix(": test") for line in said.splitlines() if line.endswith(": test")]
    passed = failed = ignored = 0
    for test in tests:
        status, said = program.run("--exact", "--nocapture", test)
        if status != 0:
            failed += 1
            print(f"test {test} ... FAILED\n{said}")
        elif " 1 ignored" in said:
            ignored += 1
            # In the harness's own words, which have the reason.
            print(next(line for line in said.splitlines() if " ... ignored" in line))
        else:
            passed += 1
            print(f"test {test} ... ok")
    word = "FAILED" if failed else "ok"
    print(f"test result: {word}. {passed} passed; {failed} failed; {ignored} ignored")
    return 1 if failed else 0


sys.exit(main(*sys.argv[1:]))
