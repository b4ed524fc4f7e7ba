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


def test_settings_of_kernels():
    config = Config({})
    assert (config.cpu, config.threads, config.cache_dir, config.cache_bytes) == ("native", 0, None, 512 << 20)
    settings = {"FLAMBEAU_CPU": "v3", "FLAMBEAU_THREADS": "4", "FLAMBEAU_CACHE": "off", "FLAMBEAU_CACHE_MB": "8"}
    config = Config(settings)
    assert (config.cpu, config.threads, config.cache_dir, config.cache_bytes) == ("v3", 4, "off", 8 << 20)


def test_who_records():
    assert Config({}).recorder == "auto"
    assert Config({"FLAMBEAU_RECORDER": "python"}).recorder == "python"
    with pytest.raises(ValueError, match="FLAMBEAU_RECORDER='c': expected one of auto, native, python"):
        Config({"FLAMBEAU_RECORDER": "c"})


def test_a_setting_of_few_choices_names_them():
    with pytest.raises(ValueError, match="FLAMBEAU_CPU='v5': expected one of native, v2, v3, v4"):
        Config({"FLAMBEAU_CPU": "v5"})
