"""Keywords that name no parameter."""

from __future__ import annotations

import pytest

from flambeau._core.keywords import explained


def body(input, inplace=False):
    return input


@pytest.mark.parametrize("guessed", ["", ". Did you mean 'inplace'?"])  # what Python says up to 3.12, and from then on
def test_the_keyword_that_was_meant_is_named_once(guessed):
    error = TypeError(f"body() got an unexpected keyword argument 'inplce'{guessed}")
    told = explained(error, body, "relu", ["inplce"])
    assert str(told) == "relu() got an unexpected keyword argument 'inplce'\n  hint: did you mean 'inplace'?"
    assert explained(error, body, "relu", ["input"]) is None
