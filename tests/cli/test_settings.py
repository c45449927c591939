"""Which value is in force, where it came from, and what is refused with which advice."""

from pathlib import Path

import pytest

from respun.config import SETTINGS, Config
from respun.settle import ConfigError, Settled, find_file, settle

HOME = Path("/home/ann")


def settled(
    flags: dict[str, object] | None = None,
    environ: dict[str, str] | None = None,
    file: Path | None = None,
    platform: str = "linux",
) -> Settled:
    return settle(flags=flags or {}, environ=environ or {}, file=file, home=HOME, platform=platform)


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "respun.toml"
        path.write_text(text)
        return path

    return write


def refusal(**given: object) -> str:
    with pytest.raises(ConfigError) as caught:
        settled(**given)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_flag_wins_over_the_environment_that_wins_over_the_file_that_wins_over_the_default(file) -> None:
    toml = file("port = 3")
    everything = settled({"port": "1"}, {"RESPUN_PORT": "2"}, toml)
    no_flag = settled({}, {"RESPUN_PORT": "2"}, toml)
    file_alone = settled({}, {}, toml)
    nothing = settled()
    assert [each.config.port for each in (everything, no_flag, file_alone, nothing)] == [1, 2, 3, 8484]
    assert [each.sources["port"] for each in (everything, no_flag, file_alone, nothing)] == [
        "--port",
        "RESPUN_PORT",
        "respun.toml",
        "default",
    ]


def test_names_that_others_use_count_after_our_own() -> None:
    both = {"OPENAI_API_KEY": "sk-theirs", "RESPUN_OPENAI_API_KEY": "sk-ours", "DATABASE_URL": "postgresql://h/d"}
    found = settled(environ=both)
    assert found.config.openai_api_key == "sk-ours"
    assert found.config.database == "postgresql://h/d"
    assert found.sources["database"] == "DATABASE_URL"


def test_an_empty_variable_is_as_good_as_none_and_an_empty_flag_takes_a_setting_back() -> None:
    assert settled(environ={"RESPUN_PORT": ""}).config.port == 8484
    assert settled({"database": ""}, {"DATABASE_URL": "postgresql://h/d"}).config.database is None


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("linux", ".local/share/respun"), ("darwin", "Library/Application Support/respun")],
)
def test_data_is_kept_where_the_platform_wants_it(platform: str, folder: str) -> None:
    config = settled(platform=platform).config
    assert config.data == HOME / folder
    assert config.models_folder == HOME / folder / "models"


def test_a_key_of_the_file_that_is_no_setting_is_refused_with_the_nearest_name(file) -> None:
    assert "no setting 'prot'. Did you mean 'port'?" in refusal(file=file("prot = 1"))
    routed = refusal(file=file('[models]\n"a" = { base_ulr = "http://h/v1" }'))
    assert "models.\"a\": there is no setting 'base_ulr'. Did you mean 'base_url'?" in routed


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("RESPUN_PORT", "tcp://10.0.0.1:8484", "RESPUN_PORT must be a whole number of at least 0 up to 65535"),
        ("RESPUN_WHEN_BUSY", "explode", "must be one of reject, enqueue, interrupt, not 'explode'"),
        ("RESPUN_INSECURE", "perhaps", "must be true or false"),
        ("RESPUN_DATABASE", "mysql://h/d", "must begin with postgresql://"),
        ("OPENAI_BASE_URL", "api.example.com", "must look like http://127.0.0.1:11434/v1"),
        ("RESPUN_HEARTBEAT_SECONDS", "60", "must be less than lease_seconds"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_what_would_do(variable: str, value: str, advice: str) -> None:
    assert advice in refusal(environ={variable: value})


def test_a_secret_is_in_no_refusal() -> None:
    assert "hunter2" not in refusal(environ={"RESPUN_KEY": "hunter2"})
    assert "hunter2" not in refusal(environ={"OPENAI_BASE_URL": "ftp://ann:hunter2@h/v1"})


@pytest.mark.parametrize(
    ("toml", "advice"),
    [
        ("port = ", "is not valid TOML"),
        ('port = "8484"', "must be a whole number"),
        ('[models]\n"a" = "b"', "must be a table"),
        ('[models]\n"a" = { model = "b" }', "needs either upstream or base_url"),
        ('[models]\n"a" = { upstream = "openal" }', "no upstream 'openal'. Did you mean 'openai'?"),
        ('[models]\n"a" = { upstream = "openai" }', "Set OPENAI_API_KEY"),
        ('[models]\n"a" = { base_url = "http://h/v1", api_key_env = "NOT_SET" }', "NOT_SET, which is not set"),
        ('[upstreams.x]\napi_key_env = "A"', "missing required field `base_url`"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(file, toml: str, advice: str) -> None:
    said = refusal(file=file(toml))
    assert advice in said
    assert "respun.toml" in said


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    assert find_file({}, tmp_path) is None
    with pytest.raises(ConfigError, match=r"There is no file .*nowhere\.toml"):
        find_file({}, tmp_path, "nowhere.toml")


def test_variables_that_look_like_settings_are_told() -> None:
    assert settled(environ={"RESPUN_PROT": "1", "RESPUN_PORT": "1"}).unknown == ("RESPUN_PROT",)


def test_every_setting_can_be_given_as_a_variable_and_every_one_but_secrets_as_a_flag() -> None:
    defaults = settled().config
    for setting in SETTINGS:
        assert (setting.flag is None) is setting.secret
        value = getattr(defaults, setting.name)
        if value is not None:
            again = settled(environ={setting.env: str(value).lower() if value in (True, False) else str(value)})
            assert getattr(again.config, setting.name) == value
            assert again.sources[setting.name] == setting.env


def test_secrets_and_passwords_are_shown_masked() -> None:
    rows = {setting.name: setting for setting in SETTINGS}
    assert rows["openai_api_key"].shown("sk-proj-abcdefghijklmnopqrstuvwxyz") == "sk-proj-…wxyz"
    assert rows["key"].shown("a short secret") == "…"
    assert rows["database"].shown("postgresql://ann:secret@h/d") == "postgresql://ann:…@h/d"


def test_a_config_made_by_hand_needs_folders_and_nothing_else(tmp_path: Path) -> None:
    assert Config(data=tmp_path, models_folder=tmp_path).store == tmp_path
