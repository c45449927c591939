"""How the settings of a server become those of its code interpreter."""

from respun.config import Config
from respun.sandbox.ports import Account, Limits, Settings


def code_settings(config: Config) -> Settings | None:
    """None where it is switched off."""
    if config.code_interpreter == "off":
        return None
    disk = config.code_disk_mib << 20
    limits = Limits(
        call_seconds=config.code_call_seconds,
        memory=config.code_memory_mib << 20,
        processes=config.code_processes,
        disk=disk,
        file=min(Limits().file, disk),
        files=config.code_files,
        logs=config.code_logs_kib << 10,
    )
    return Settings(
        limits=limits,
        idle_seconds=config.code_idle_seconds,
        life_seconds=config.code_life_seconds,
        sessions=config.code_sessions,
        python=config.code_python,
        backend=config.code_interpreter,
        remote=_account(config),
        cache=str(config.data / "code-cache"),
    )


def _account(config: Config) -> Account | None:
    """None unless it is asked for: a key in the environment alone sends no code anywhere."""
    if config.code_interpreter != "remote" or not config.code_remote_key:
        return None
    return Account(
        config.code_remote_key,
        api=config.code_remote_url.rstrip("/"),
        address=config.code_remote_address,
        template=config.code_remote_template,
    )
