"""`import torch` answered by Flambeau, in processes of their own: what is installed stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flambeau.version import TorchVersion

ROOT = Path(__file__).parents[2]


def run(code: str, folder: Path, *, installed: bool = True) -> str:
    """What a program prints; an error is a failed test."""
    (folder / "program.py").write_text(code)
    command = [sys.executable, *(["-m", "flambeau", "run"] if installed else []), "program.py"]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_very_same_modules(tmp_path: Path) -> None:
    run(
        """
import flambeau
import torch, torch.nn as nn, torch.nn.functional as F
import torch.nn.modules.linear
import torch.optim.lr_scheduler as lr
from torch.utils.data import DataLoader
from torch.nn.utils.rnn import pad_sequence
from torch import Tensor
assert torch is flambeau and nn is flambeau.nn and F is flambeau.nn.functional
assert torch.nn.modules.linear is flambeau.nn.modules.linear and lr is flambeau.optim.lr_scheduler
assert DataLoader is flambeau.utils.data.DataLoader and Tensor is flambeau.Tensor
import sys
assert sys.modules["torch.nn.modules.linear"] is sys.modules["flambeau.nn.modules.linear"]
assert torch.nn.__spec__.name == torch.nn.__name__ == "flambeau.nn"
import importlib.util
assert importlib.util.find_spec("torch") is not None
import pickle
assert pickle.loads(b"ctorch.nn.modules.linear\\nLinear\\n.") is nn.Linear
assert pickle.loads(pickle.dumps(nn.Linear)) is nn.Linear
import torch.library, torch.ops, torch.compiler
from torch.compiler import disable
assert torch.library is flambeau.library and torch.ops is flambeau.ops and disable is flambeau.compiler.disable
assert torch.ops.aten.add is flambeau.ops.aten.add
""",
        tmp_path,
    )


def test_torchvision(tmp_path: Path) -> None:
    """Also where a function hides the module that it is defined in."""
    run(
        """
import flambeau.vision
import torchvision, torchvision.models.alexnet
from torchvision import datasets, transforms
from torchvision.models.resnet import resnet18
assert torchvision is flambeau.vision and datasets is flambeau.vision.datasets
assert callable(torchvision.models.alexnet) and resnet18 is torchvision.models.resnet18
assert torchvision.__version__.startswith("0.")
""",
        tmp_path,
    )


def test_version(tmp_path: Path) -> None:
    out = run(
        "import torch\nv = torch.__version__\n"
        "print(v.startswith('2.'), v >= '2.9', v >= (1, 13), v < '10', v.split('+')[1][:8], torch.version.cuda)",
        tmp_path,
    )
    assert out == "True True True True flambeau None\n"


def test_versions_compare_by_number() -> None:
    assert TorchVersion("2.13.0+x") > "2.9" and TorchVersion("2.13.0") >= "2.13" and TorchVersion("2.9") < (2, 10)
    assert TorchVersion("2.13.0") <= "2.13.0+cpu" and TorchVersion("2.13") == "2.13"


def test_missing_modules_name_the_nearest(tmp_path: Path) -> None:
    hints = {
        "torch.optim.lr_schedulers": "the nearest is torch.optim.lr_scheduler",
        "torch.nn.Conv2d": "from torch.nn import Conv2d",
        "torch.nn.functional.relu": "from torch.nn.functional import relu",
        "torch._inductor": "private",
        "torch.apparel": "the nearest is torch.",
        "torch.nn.zzz.more": "No module named 'torch.nn.zzz'",
        "torchvision.models.feature_extraction": "torchvision.models._utils.IntermediateLayerGetter",
    }
    code = f"""
import importlib
for module in {list(hints)}:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        print(repr(str(error)))
"""
    for said, hint in zip(run(code, tmp_path).splitlines(), hints.values(), strict=True):
        assert hint in said


def test_modules_whose_names_stand_elsewhere(tmp_path: Path) -> None:
    """PyTorch has files and folders of its own; what they hold is found, in whatever file it stands here."""
    run(
        """
import torch
import torch.backends.cudnn as cudnn
import torch.backends.cudnn
import torch.nn.parallel.data_parallel, torch.multiprocessing.spawn, torch.distributions.normal
from torch.cuda.amp import GradScaler, autocast
from torch.distributions.beta import Beta
from torch.functional import *
cudnn.benchmark = True
assert torch.backends.cudnn.benchmark is True
assert Beta is torch.distributions.Beta and torch.distributions.normal.Normal is torch.distributions.Normal
assert einsum is torch.einsum and callable(torch.multiprocessing.spawn) and GradScaler is torch.cuda.amp.GradScaler
import pickle
assert pickle.loads(b"ctorch.distributions.normal\\nNormal\\n.") is torch.distributions.Normal
""",
        tmp_path,
    )


def test_modules_that_cannot_be_had_say_why(tmp_path: Path) -> None:
    code = """
import importlib
refused = "torch.export torch.cuda.nccl torch.distributed.autograd torch.utils.data.datapipes.iter.callable"
for name in refused.split():
    try:
        importlib.import_module(name)
    except ImportError as error:
        assert isinstance(error, NotImplementedError) and f"{name} is not implemented: " in str(error), error
        assert "hint: nearest is " in str(error)
    else:
        raise AssertionError(name)
"""
    run(code, tmp_path)


def test_a_module_of_pytorchs_as_the_program() -> None:
    command = [sys.executable, "-m", "flambeau", "run", "-m", "torch.utils.collect_env"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("torch version: Flambeau "), done.stderr


def test_within_a_process(tmp_path: Path) -> None:
    code = "import flambeau as f\nf.install_as_torch()\nf.install_as_torch()\nimport torch\nprint(torch is f)"
    assert run(code, tmp_path, installed=False) == "True\n"


def test_never_beside_pytorch_itself(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("")
    code = "import torch, flambeau\ntry:\n    flambeau.install_as_torch()\nexcept RuntimeError as e:\n    print(e)"
    out = run(code, tmp_path, installed=False)
    assert "torch itself is imported already" in out and "torch.py" in out


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes(tmp_path: Path, method: str) -> None:
    """Workers import the program again, `import torch` included, unless they are forked."""
    out = run(
        f"""
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

class Squares(Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, i):
        assert get_worker_info() is not None
        return torch.tensor([float(i) ** 2])

if __name__ == "__main__":
    loader = DataLoader(Squares(), batch_size=2, num_workers=2, multiprocessing_context="{method}")
    print([batch.flatten().tolist() for batch in loader])
""",
        tmp_path,
    )
    assert out == "[[0.0, 1.0], [4.0, 9.0], [16.0, 25.0]]\n"


def test_processes_of_the_program(tmp_path: Path) -> None:
    out = run(
        """
import multiprocessing as mp
import torch

def work(queue):
    queue.put(torch.arange(3).sum().item())

if __name__ == "__main__":
    context = mp.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get(), process.join(), process.exitcode)
""",
        tmp_path,
    )
    assert out == "3 None 0\n"
