"""Results that come later (`torch.futures`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")


class Future(Generic[T]):
    """A result that somebody sets, perhaps in another thread, and others wait for.

    Example::

        >>> later = Future()
        >>> double = later.then(lambda done: done.value() * 2)
        >>> later.set_result(3)
        >>> later.done(), double.wait()
        (True, 6)
    """

    def __init__(self, *, devices: Any = None) -> None:
        self._done = threading.Event()
        self._changing = threading.Lock()
        self._result: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []

    def done(self) -> bool:
        """Is the result, or an error, there?"""
        return self._done.is_set()

    def wait(self) -> T:
        """The result, as soon as it is there; the error, if one was set in its place."""
        self._done.wait()
        return self.value()

    def value(self) -> T:
        """The result; RuntimeError if it is not there yet."""
        if not self.done():
            raise RuntimeError("the result is not there yet; use wait()")
        if self._error is not None:
            raise self._error
        return self._result

    def set_result(self, result: T) -> None:
        """Set the result, once; RuntimeError for a second time."""
        self._end(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Set an error in the place of the result. TypeError for what is no exception."""
        if not isinstance(result, BaseException):
            raise TypeError(f"expected an exception, got {type(result).__name__}")
        self._end(None, result)

    def _end(self, result: Any, error: BaseException | None) -> None:
        with self._changing:
            if self.done():
                raise RuntimeError("Attempting to mark a completed Future as complete again. Note that a Future can "
                                   "only be marked completed once.")  # fmt: skip
            self._result, self._error = result, error
            self._done.set()
        for callback in self._callbacks:
            callback(self)

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Have a function called with this future when it is done; at once if it is."""
        with self._changing:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """What a function gives for this future when it is done, as a future."""
        following: Future[Any] = Future()

        def go_on(done: Future[T]) -> None:
            try:
                result = callback(done)
            except Exception as error:
                following.set_exception(error)
            else:
                following.set_result(result)

        self.add_done_callback(go_on)
        return following


def collect_all(futures: list[Future]) -> Future[list[Future]]:
    """A future that is done when all of some are; its result is their list.

    Example::

        >>> first, second = Future(), Future()
        >>> both = collect_all([first, second])
        >>> first.set_result(1), both.done(), second.set_result(2), both.done()
        (None, False, None, True)
    """
    all_done: Future[list[Future]] = Future()
    counting = threading.Lock()
    remaining = [len(futures)]

    def one_done(_: Future) -> None:
        with counting:
            remaining[0] -= 1
            last = remaining[0] == 0
        if last:
            all_done.set_result(futures)

    for future in futures:
        future.add_done_callback(one_done)
    if not futures:
        all_done.set_result([])
    return all_done


def wait_all(futures: list[Future]) -> list[Any]:
    """The results of futures, as soon as all are there; the first error, if there is one.

    Example::

        >>> wait_all([fork(max, 1, 2), fork(min, 1, 2)])
        [2, 1]
    """
    return [future.wait() for future in futures]


def fork(func: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """The result of a call, which runs at once, as a future.

    Example::

        >>> wait(fork(max, 1, 2))
        2
    """
    future: Future[T] = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future: Future[T]) -> T:
    """The result of a future, as soon as it is there."""
    return future.wait()
