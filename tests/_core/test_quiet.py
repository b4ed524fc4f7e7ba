import threading
import warnings

import numpy as np

from flambeau._core.quiet import quietly


def test_numpy_warns_again_afterwards():
    before = np.geterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(quietly(np.divide, np.float32(1), np.float32(0)))
    assert np.geterr() == before


def test_calls_within_calls():
    assert quietly(quietly, np.geterr) == {kind: "ignore" for kind in ("divide", "over", "under", "invalid")}


def test_calls_at_the_same_time():
    inside, found = threading.Barrier(2), []

    def both_inside():
        inside.wait(10)
        found.append(np.geterr()["divide"])

    threads = [threading.Thread(target=quietly, args=(both_inside,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["ignore", "ignore"]
