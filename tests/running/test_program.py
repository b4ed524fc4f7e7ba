"""`flambeau run` against Python itself: the same program, started by both, sees and does the same."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAMBEAU = [sys.executable, "-m", "flambeau", "run"]
NOTHING = """
import sys
print(sys.argv, sys.path[0], __name__, __file__, __package__, __cached__, type(__loader__).__name__, __builtins__)
print(__spec__ and __spec__.name, sorted(globals()), sys.modules["__main__"].__dict__ is globals())
"""


def start(command: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | more
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)


def both(folder: Path, *arguments: str) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    """(exit code, output, errors) under Flambeau and under Python."""
    runs = [start([*command, *arguments], folder) for command in (FLAMBEAU, [sys.executable])]
    one, other = [(run.returncode, run.stdout, run.stderr) for run in runs]
    return one, other


@pytest.mark.parametrize(
    "source",
    [
        NOTHING,
        "# -*- coding: latin-1 -*-\nprint('\xe9')",
        "import sys\nsys.exit(3)",
        "import sys\nsys.exit('said at the end')",
        "import sys\nsys.exit()",
        "raise SystemExit(None)",
        "def f():\n    raise ValueError('inside')\nf()",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('second') from e",
        "def f(:\n    pass",
        "import nothing_of_that_name",
        "raise KeyboardInterrupt",
        "raise ExceptionGroup('two', [ValueError(1), TypeError(2)])",
        "import sys\nsys.excepthook = lambda kind, error, frames: print(kind, error, frames.tb_lineno)\n1 / 0",
        "import atexit\nx = 'kept'\natexit.register(lambda: print(x))\nprint('first')",
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n1 / 0",
    ],
)
def test_as_python_does_it(tmp_path: Path, source: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "program.py").write_text(source, encoding="latin-1")
    ours, pythons = both(tmp_path, "folder/program.py", "--flag", "-m", "x")
    assert ours == pythons


def test_a_link_is_followed_for_the_search_path(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "program.py").write_text("import sys, beside\nprint(sys.path[0], __file__)")
    (tmp_path / "there" / "beside.py").write_text("")
    (tmp_path / "link.py").symlink_to(tmp_path / "there" / "program.py")
    ours, pythons = both(tmp_path, "link.py")
    assert ours == pythons and ours[0] == 0


@pytest.mark.parametrize("name", ["package", "package.module", "alone"])
def test_modules(tmp_path: Path, name: str) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("print('package imported')")
    for path in ("package/__main__.py", "package/module.py", "alone.py"):
        (tmp_path / path).write_text(NOTHING + "\n1 / 0")
    ours, pythons = both(tmp_path, "-m", name, "a", "-b")
    assert ours[:2] == pythons[:2]
    frames = re.findall(r'File "(.*?)"', ours[2])
    assert frames == [str(tmp_path / ("package/__main__.py" if name == "package" else name.replace(".", "/") + ".py"))]


def test_a_folder_and_a_zip_file(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text("import sys, beside\nprint(sys.argv, sys.path[0], beside.X)")
    (tmp_path / "app" / "beside.py").write_text("X = 4")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        for file in (tmp_path / "app").iterdir():
            archive.write(file, file.name)
    for name in ("app", "app.zip"):
        ours, pythons = both(tmp_path, name, "argument")
        assert ours[0] == 0 and ours[1].replace(str(tmp_path) + "/", "") == pythons[1].replace(str(tmp_path) + "/", "")


def test_what_is_not_there(tmp_path: Path) -> None:
    ours, pythons = both(tmp_path, "missing.py")
    assert ours[0] == pythons[0] == 2 and "missing.py" in ours[2] and "No such file" in ours[2]
    ours, pythons = both(tmp_path, "-m", "missing")
    assert ours[0] == pythons[0] == 1 and "No module named missing" in ours[2]
    for arguments in ([], ["-m"], ["--fast", "x.py"]):
        run = start([*FLAMBEAU, *arguments], tmp_path)
        assert run.returncode == 2 and "usage: flambeau run" in run.stderr


def test_ctrl_c_ends_it_by_the_signal(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("import torch, time\nprint('ready', flush=True)\ntime.sleep(60)")
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    process = subprocess.Popen([*FLAMBEAU, "long.py"], cwd=tmp_path, env=environ, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert re.findall(r'File "(.*?)"', errors) == [str(tmp_path / "long.py")] and errors.endswith("KeyboardInterrupt\n")
