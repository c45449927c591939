"""How the settings of a server become those of its code interpreter."""

from respun.config import Config
from respun.sandbox.ports import Limits, Settings


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
        logs=config.code_logs_kib << 10,
    )
    return Settings(
        limits=limits,
        idle_seconds=config.code_idle_seconds,
        life_seconds=config.code_life_seconds,
        sessions=config.code_sessions,
        python=config.code_python,
        backend=config.code_interpreter,
    )
