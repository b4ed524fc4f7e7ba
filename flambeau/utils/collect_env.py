"""What a report of an error should say about the machine (`torch.utils.collect_env`):

flambeau run -m torch.utils.collect_env
"""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import NamedTuple

from flambeau import _api as torch
from flambeau import backends, cuda, version
from flambeau._core.config import config
from flambeau._core.homes import absent

__all__ = ["SystemEnv", "get_env_info", "get_pretty_env_info", "main", "pretty_str"]

PACKAGES = ("flambeau", "numpy", "llvmlite", "ml_dtypes", "scipy", "pillow", "torch", "torchvision")


class SystemEnv(NamedTuple):
    """What is known of the machine, of Python and of the packages that matter; texts."""

    torch_version: str
    python_version: str
    python_platform: str
    os: str
    libc_version: str
    is_cuda_available: str
    cpu_info: str
    cpu_capability: str
    num_threads: str
    compile: str
    pip_packages: str


def get_env_info() -> SystemEnv:
    """What is known here.

    Example::

        >>> get_env_info().is_cuda_available
        'False'
    """
    return SystemEnv(
        torch_version=f"Flambeau {version.__version__}, which follows PyTorch {version.PYTORCH}",
        python_version=sys.version.replace("\n", " "),
        python_platform=platform.platform(),
        os=f"{platform.system()} {platform.release()} ({platform.machine()})",
        libc_version="-".join(filter(None, platform.libc_ver())) or "N/A",
        is_cuda_available=str(cuda.is_available()),
        cpu_info=_processor(),
        cpu_capability=backends.cpu.get_cpu_capability(),
        num_threads=str(torch.get_num_threads()),
        compile=config.compile,
        pip_packages=_packages(),
    )


def _processor() -> str:
    """The processor's name, where the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "N/A"


def _packages() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def pretty_str(envinfo: SystemEnv) -> str:
    """The same as text, a line each."""
    return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in envinfo._asdict().items())


def get_pretty_env_info() -> str:
    """What is known here, as text.

    Example::

        >>> ", which follows PyTorch" in get_pretty_env_info()
        True
    """
    return pretty_str(get_env_info())


def main() -> None:
    """Print it."""
    print(get_pretty_env_info())


__getattr__ = absent("torch.utils.collect_env")


if __name__ == "__main__":
    main()
