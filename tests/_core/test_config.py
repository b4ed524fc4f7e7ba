import pytest

from flambeau._core.config import Config


def test_defaults_and_environment():
    assert Config({}).window_instructions == 512
    config = Config({"FLAMBEAU_WINDOW": "1", "FLAMBEAU_WINDOW_MB": "3", "FLAMBEAU_DATA": "/data"})
    assert (config.window_instructions, config.window_bytes, config.data_dir) == (1, 3 << 20, "/data")


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_a_wrong_value_names_the_variable(text):
    with pytest.raises(ValueError, match="FLAMBEAU_WINDOW="):
        Config({"FLAMBEAU_WINDOW": text})
