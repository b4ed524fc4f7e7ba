"""Published models and weights (`torch.hub`): from a folder with a `hubconf.py`, or from an address.

Downloads end up in `get_dir()`. A repository of GitHub's is code that would be run as it comes: clone it, look at it,
and load it with `source="local"`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from flambeau._core import errors
from flambeau._core.config import config
from flambeau._core.lazy import lazy_module
from flambeau.serialization import load as load_file

if TYPE_CHECKING:
    import urllib.parse as urllib_parse
    import urllib.request as urllib_request
else:
    urllib_parse, urllib_request = lazy_module("urllib.parse"), lazy_module("urllib.request")

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

CONFIGURATION = "hubconf"
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # resnet18-f37072fd.pth: the first digits of the file's SHA-256 sum
PART = 1 << 17
_folder: str | None = None


def urlparse(url: str) -> Any:
    """The parts of an address: `urllib.parse.urlparse`, which libraries take from here."""
    return urllib_parse.urlparse(url)


def get_dir() -> str:
    """The folder of what is downloaded: what `set_dir` was told, else `hub` in TORCH_HOME, which is
    `$XDG_CACHE_HOME/torch` or `~/.cache/torch` unless it is set.

    Example::

        >>> os.path.basename(get_dir())
        'hub'
    """
    if _folder is not None:
        return _folder
    home = config.torch_home or os.path.join(config.cache_home or os.path.join("~", ".cache"), "torch")
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike) -> None:
    """Choose the folder of what is downloaded, for this process.

    Example::

        torch.hub.set_dir("~/models")
        torch.hub.load_state_dict_from_url(url)    # in ~/models/checkpoints
    """
    global _folder
    _folder = os.path.expanduser(d)


# ---------------------------------------------------------------------------------------------- a folder of models


def list(github: str, force_reload: bool = False, *, source: str = "github", **options: Any) -> list[str]:  # type: ignore[valid-type]  # noqa: A001
    """The names of the models that a folder's `hubconf.py` offers; with `source="local"`, `github` is that folder.

    NotImplementedError for a repository of GitHub's.
    """
    with _configuration(github, source) as module:
        return [name for name in dir(module) if callable(getattr(module, name)) and not name.startswith("_")]


def help(github: str, model: str, force_reload: bool = False, *, source: str = "github", **options: Any) -> Any:  # noqa: A001
    """The docstring of a model that a folder's `hubconf.py` offers; NotImplementedError for one of GitHub's."""
    with _configuration(github, source) as module:
        return _entry(module, model).__doc__


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: Any = "check",
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """What the function `model` in `hubconf.py` of the folder `repo_or_dir` gives for `args` and `kwargs`, with
    `source="local"`.

    Raises:
        NotImplementedError: for a repository of GitHub's, whose code would be run unseen.
        RuntimeError: if `hubconf.py` has no such function, or wants packages that are not installed.
        ValueError: for another `source`.
    """
    with _configuration(repo_or_dir, source) as module:
        return _entry(module, model)(*args, **kwargs)


@contextmanager
def _configuration(folder: str, source: str) -> Iterator[Any]:
    """The module `hubconf.py` of a folder, which is on the search path meanwhile."""
    if source.lower() not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source.lower() == "github":
        _refuse_repository(folder)
    path = os.path.join(folder, f"{CONFIGURATION}.py")
    spec = importlib.util.spec_from_file_location(CONFIGURATION, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.fspath(folder))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(os.fspath(folder))


def _refuse_repository(name: str) -> NoReturn:
    where = f"https://github.com/{name.partition(':')[0]}"
    raise NotImplementedError(
        errors.explain(
            f"torch.hub does not run code from {where} unseen",
            hint=f'git clone {where}, then torch.hub.load(folder, ..., source="local")',
        )
    )


def _entry(module: Any, model: str) -> Callable:
    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    missing = [name for name in getattr(module, "dependencies", ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    found = getattr(module, model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


# ---------------------------------------------------------------------------------------------- an address


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> Any:
    """What the file at `url` holds, by `torch.load`, which runs no code from it. The file is kept in `model_dir`
    (`get_dir()/checkpoints` by default) under its own name, or `file_name`, and taken from there the next time.

    With `check_hash` what follows the hyphen in the name (`resnet18-f37072fd.pth`) begins the file's SHA-256 sum.

    Raises:
        RuntimeError: if the sum is another.
        urllib.error.URLError: if the address cannot be reached.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        sys.stdout.write(f'Downloading: "{url}" to {path}\n')
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, found and found[1], progress)
    return load_file(path, map_location=map_location, weights_only=weights_only)


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Write what is at `url` into the file `dst`, which is there when it is complete and right, or not at all.
    `progress` shows on stderr how far it is.

    Raises:
        RuntimeError: if the SHA-256 sum does not begin with the digits `hash_prefix`.
        urllib.error.URLError: if the address cannot be reached.
    """
    target = os.path.expanduser(dst)
    part = f"{target}.{uuid.uuid4().hex}.partial"  # not a temporary file's, whose permissions are narrower
    request = urllib_request.Request(url, headers={"User-Agent": "torch.hub"})
    digest = hashlib.sha256()
    try:
        with open(part, "xb") as file, urllib_request.urlopen(request) as answer:
            length = answer.headers.get("Content-Length")
            for data in _reported(iter(lambda: answer.read(PART), b""), length and int(length), progress):
                digest.update(data)
                file.write(data)
        if not digest.hexdigest().startswith(hash_prefix or ""):
            fact = f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")'
            raise RuntimeError(errors.explain(fact, hint=f"was the file replaced, or is {url} an error page?"))
        shutil.move(part, target)
    finally:
        if os.path.exists(part):
            os.remove(part)


def _reported(parts: Iterator[bytes], length: int | None, progress: bool) -> Iterator[bytes]:
    """The parts, while stderr says how many bytes there have been."""
    done = 0
    for part in parts:
        yield part
        done += len(part)
        if progress:
            sys.stderr.write(f"\r{100 * done / length:.1f}%" if length else f"\r{done} bytes")
            sys.stderr.flush()
    if progress:
        sys.stderr.write("\n")
