import pytest

from gateway.settings import GatewaySettings, SettingError


def test_defaults() -> None:
    settings = GatewaySettings.from_env({})
    assert (settings.port, settings.metrics_port) == (50051, 9464)
    assert settings == GatewaySettings()


def test_the_environment_sets_and_overrides_win() -> None:
    env = {"CAMSERVE_PORT": "0", "CAMSERVE_HOST": "::1", "CAMSERVE_DEFAULT_DEADLINE": "2.5", "OTHER": "x"}
    settings = GatewaySettings.from_env(env, metrics_port=1234, port=None)
    assert (settings.host, settings.port, settings.metrics_port) == ("::1", 0, 1234)
    assert settings.default_deadline == 2.5
    assert GatewaySettings.from_env(env, port=7).port == 7


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CAMSERVE_PORT", "http", "CAMSERVE_PORT must be a whole number, not 'http'"),
        ("CAMSERVE_PORT", "70000", "CAMSERVE_PORT must be 0 to 65535, not 70000"),
        ("CAMSERVE_METRICS_PORT", "-1", "CAMSERVE_METRICS_PORT must be 0 to 65535, not -1"),
        ("CAMSERVE_QUEUE_ITEMS", "1.5", "CAMSERVE_QUEUE_ITEMS must be a whole number"),
        ("CAMSERVE_POLL_INTERVAL", "nan", "CAMSERVE_POLL_INTERVAL must be 0.01 to 3600"),
        ("CAMSERVE_MAX_DEADLINE", "soon", "CAMSERVE_MAX_DEADLINE must be a number, not 'soon'"),
    ],
)
def test_a_bad_value_names_its_variable(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        GatewaySettings.from_env({variable: value})


def test_a_bad_override_names_its_variable() -> None:
    with pytest.raises(SettingError, match="CAMSERVE_PORT"):
        GatewaySettings.from_env({}, port=-3)
