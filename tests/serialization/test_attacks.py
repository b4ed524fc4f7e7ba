"""Malicious pickles: each is refused by name, and nothing is executed."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flambeau.serialization import load


def checkpoint(pickled: bytes) -> io.BytesIO:
    """A zip checkpoint with this pickle and one storage."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("archive/data.pkl", pickled)
        out.writestr("archive/data/0", bytes(16))
    file.seek(0)
    return file


def legacy(pickled: bytes) -> io.BytesIO:
    """The same pickle where the older format has its objects."""
    start = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    return io.BytesIO(start + pickled + pickle.dumps([], 2))


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def name(full: str) -> bytes:
    """GLOBAL: the module is all before the last dot."""
    module, _, last = full.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def stack_name(module: str, last: str) -> bytes:
    """STACK_GLOBAL, whose name may have dots."""
    return b"\x80\x04" + text(module) + text(last) + b"\x93"


def call(function: bytes, *args: str) -> bytes:
    return function + b"(" + b"".join(map(text, args)) + b"tR."


CANARY = "open('canary', 'w').close()"
TOUCH = "touch canary"

# The ones that Python's own unpickler carries out: the canary is there afterwards.
LIVE = {
    "builtins.eval": call(name("builtins.eval"), CANARY),
    "builtins.exec": call(name("builtins.exec"), CANARY),
    "os.system": call(name("os.system"), TOUCH),
    "posix.system": call(name("posix.system"), TOUCH),
    "os.popen": call(name("os.popen"), TOUCH),
    "subprocess.getoutput": call(name("subprocess.getoutput"), TOUCH),
    "subprocess.call": name("subprocess.call") + b"(" + b"]" + text("touch") + b"a" + text("canary") + b"atR.",
    "timeit.timeit": call(name("timeit.timeit"), "pass", CANARY),  # as the set-up, which runs once
    "cProfile.run": call(name("cProfile.run"), CANARY),
    "bdb.Bdb": (
        name("operator.methodcaller") + b"(" + text("run") + text(CANARY) + b"tR"
        + name("bdb.Bdb") + b")R\x85R."
    ),
    "io.open": call(name("io.open"), "canary", "w"),
    "code.InteractiveInterpreter": (
        name("operator.methodcaller") + b"(" + text("runsource") + text(CANARY) + b"tR"
        + name("code.InteractiveInterpreter") + b")R\x85R."
    ),
    "numpy.testing._private.utils.runstring": (
        name("numpy.testing._private.utils.runstring") + b"(" + text(CANARY) + b"}tR."
    ),
    "operator.methodcaller": (
        name("operator.methodcaller") + b"(" + text("system") + text(TOUCH) + b"tR" + name("builtins.__import__")
        + b"(" + text("os") + b"tR\x85R."
    ),
    "operator.attrgetter": (
        name("operator.attrgetter") + b"(" + text("system") + b"tR" + name("builtins.__import__")
        + b"(" + text("os") + b"tR\x85R(" + text(TOUCH) + b"tR."
    ),
    "functools.partial": (
        name("functools.partial") + b"(" + name("builtins.exec") + text(CANARY) + b"tR)R."
    ),
    "functools.reduce": (
        name("functools.reduce") + b"(" + name("builtins.getattr") + b"]" + name("os.system") + b"a"
        + text("__call__") + b"atR(" + text(TOUCH) + b"tR."
    ),
    "builtins.getattr": (
        name("builtins.getattr") + b"(" + name("builtins.__import__") + b"(" + text("os") + b"tR" + text("system")
        + b"tR(" + text(TOUCH) + b"tR."
    ),
    "pickle.loads": (
        name("pickle.loads") + b"(" + name("_codecs.encode") + b"("
        + text(call(name("builtins.exec"), CANARY).decode("latin1")) + text("latin1") + b"tRtR."
    ),
    "builtins.map": (
        name("builtins.list") + b"(" + name("builtins.map") + b"(" + name("builtins.exec") + b"]" + text(CANARY)
        + b"atRtR."
    ),
    "posix.system by INST": b"(" + text(TOUCH) + b"iposix\nsystem\n.",
    "posix.system by OBJ": b"(" + name("posix.system") + text(TOUCH) + b"o.",
    "os.system by STACK_GLOBAL": stack_name("os", "system") + b"(" + text(TOUCH) + b"tR.",
    "flambeau.serialization.atomic.os.system": (
        stack_name("flambeau.serialization.atomic", "os.system") + b"(" + text(TOUCH) + b"tR."
    ),
}  # fmt: skip

# What is refused by its name alone; carrying it out would block, need a network, or do harm.
NAMED = [
    "subprocess.Popen", "builtins.compile", "builtins.__import__", "importlib.import_module", "runpy.run_path",
    "runpy._run_code", "pty.spawn", "ctypes.CDLL", "ctypes.cdll.LoadLibrary", "socket.create_connection",
    "socket.socket", "webbrowser.open", "shutil.rmtree", "types.FunctionType", "types.CodeType", "marshal.loads",
    "_pickle.loads", "dill.loads", "cloudpickle.loads", "torch.load", "torch.serialization.load", "torch.hub.load",
    "torch.utils.model_zoo.load_url", "torch.jit.load", "torch._dynamo.optimize", "numpy.load", "numpy.f2py.diagnose",
    "pip._internal.main", "pip.main", "code.interact", "bdb.Bdb.run", "pdb.run", "doctest.debug_script",
    "asyncio.unix_events._UnixSubprocessTransport._start", "asyncio.create_subprocess_shell",
    "multiprocessing.Process", "multiprocessing.util.spawnv_passfds", "requests.get", "urllib.request.urlopen",
    "smtplib.SMTP", "http.client.HTTPConnection", "codecs.open", "codecs.decode", "builtins.setattr", "builtins.open",
    "builtins.globals", "builtins.type", "builtins.object", "copyreg._reconstructor", "copyreg.__newobj__",
    "_io.FileIO", "linecache.getline", "ensurepip._run_pip", "venv.create", "lib2to3.pgen2.grammar.Grammar",
    "site.execsitecustomize", "sys.exit", "os.execv", "nt.system", "tempfile.mktemp", "zipimport.zipimporter",
    "torch._utils.os.system", "collections.OrderedDict.__reduce__", "torch.Tensor.__class__", "operator.itemgetter",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("form", [checkpoint, legacy])
@pytest.mark.parametrize("attack", LIVE)
def test_what_python_would_execute(attack: str, form: Any, weights_only: bool, folder: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"may not (use|call)|is not among the names"):
        load(form(LIVE[attack]), weights_only=weights_only)
    assert os.listdir(folder) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("attack", LIVE)
def test_the_canary(attack: str, folder: Path) -> None:
    """The attacks are real."""
    if os.name != "posix":
        pytest.skip("the commands are POSIX's")
    made = pickle.loads(LIVE[attack])
    if hasattr(made, "close"):
        made.close()
    assert os.listdir(folder) == ["canary"]


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("full", NAMED)
def test_names_are_refused(full: str, weights_only: bool) -> None:
    with pytest.raises(pickle.UnpicklingError, match=rf"{full.replace('.', '[.]')} is not among the names"):
        load(checkpoint(call(name(full), "x")), weights_only=weights_only)
    top, _, rest = full.partition(".")
    with pytest.raises(pickle.UnpicklingError, match="is not among the names"):
        load(checkpoint(stack_name(top, rest) + b"(tR."), weights_only=weights_only)


OF_TENSORS = name("torch._utils._rebuild_tensor_v2")
LONG_RANGE = name("builtins.range") + b"\x8a\x06\x00\x00\x00\x00\x00\x01\x85R"


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"\x82\x01.", "EXT1"),
        (b"\x83\x01\x00.", "EXT2"),
        (b"\x84\x01\x00\x00\x00.", "EXT4"),
        (b"(" + name("torch.Size") + b"o.", "OBJ"),
        (name("torch.Tensor") + b")}\x92.", "NEWOBJ_EX"),
        (b"Pabc\n.", "PERSID"),
        (text("cmd") + b"Q.", "storages only"),
        (name("os.system") + b"Q.", "os.system"),
        (b"(" + text("storage") + name("torch.FloatStorage") + b"K\x00" + text("cpu") + b"K\x04tQ.", "storages only"),
        (name("collections.OrderedDict") + b")R}" + text("__class__") + name("torch.Tensor") + b"sb" + b"}b0.", "."),
        (name("torch.Tensor") + b"}" + text("__reduce__") + OF_TENSORS + b"sb.", "may not set the state"),
        (OF_TENSORS + b"}" + text("__code__") + b"Nsb.", "may not set the state"),
        (name("torch._tensor._rebuild_from_type_v2") + b"(" + name("collections.OrderedDict") + name("torch.Tensor")
         + b")}tR.", "makes no sense"),
        (name("collections.defaultdict") + OF_TENSORS + b"\x85R.", "found a function"),
        (name("builtins.bytearray") + b"J\xff\xff\xff\x7f\x85R.", "expected a bytes"),
        (name("builtins.set") + LONG_RANGE + b"\x85R.", "found a range"),
        (OF_TENSORS + LONG_RANGE + b"R.", "not a tuple"),
    ],
)  # fmt: skip
def test_tricks_with_instructions(pickled: bytes, message: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=message):
        load(checkpoint(pickled))


def billion(levels: int) -> bytes:
    """Tuples of twice the same tuple: a pickle of few bytes, 2 ** levels parts."""
    doubled = (b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(levels))
    return b")q\x00" + b"".join(doubled)


@pytest.mark.parametrize(
    "pickled",
    [
        b"}" + billion(60) + b"Ns.",
        b"\x8f(" + billion(60) + b"\x90.",
        name("builtins.frozenset") + b"(]" + billion(60) + b"atR.",
        name("collections.OrderedDict") + b"(]]" + billion(60) + b"aNaatR.",
        b"})" + b"\x85" * 100_000 + b"Ns.",
        billion(60) + b"Q.",
        billion(60) + b")R.",
    ],
    ids=["key", "set", "frozenset", "pairs", "deep", "persistent id", "called"],
)
def test_a_billion_laughs(pickled: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError):
        load(checkpoint(pickled))


def test_shared_parts_that_nobody_hashes_are_fine() -> None:
    assert load(checkpoint(billion(60) + b"0K\x03.")) == 3


def test_a_record_without_a_name() -> None:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as out:
        out.writestr("archive/data.pkl", b"N.")
        out.writestr("x", b"")
    data = file.getvalue()
    place = data.rindex(b"PK\x01\x02")
    nameless = data[: place + 28] + b"\0\0" + b"\x01" + data[place + 31 : place + 46] + data[place + 46 :]
    with pytest.raises((RuntimeError, pickle.UnpicklingError)):
        load(io.BytesIO(nameless))


def test_a_deflated_bomb_is_refused() -> None:
    """A record that says it unpacks to more than its bytes can hold; and records that share bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("archive/data.pkl", b"N.")
    data = file.getvalue()
    place = data.rindex(b"PK\x01\x02") + 24
    bomb = data[:place] + struct.pack("<I", 1 << 30) + data[place + 4 :]
    with pytest.raises(RuntimeError, match="cannot hold the 1073741824 bytes"):
        load(io.BytesIO(bomb))
