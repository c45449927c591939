"""The remote back-end keeps the same contract, over HTTP, against a stand-in for the provider."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from respun.sandbox.ports import Account, BadFile, NoSandbox, NoSession, Settings
from respun.sandbox.remote import Remote
from sandbox.backends import make
from sandbox.e2b import KEY, Provider


@pytest_asyncio.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    async with Provider(make("process", tmp_path)).serving() as serving:
        yield serving


@pytest_asyncio.fixture
async def remote(provider: Provider) -> AsyncIterator[Remote]:
    made = Remote(account(provider), Settings(idle_seconds=300))
    await made.create("a")
    yield made
    await made.aclose()
    assert provider.machines == set()


def account(provider: Provider, key: str = KEY) -> Account:
    return Account(key, api=provider.url, address=provider.url + "/{port}/{machine}")


async def test_state_output_errors_and_images_come_back(remote: Remote) -> None:
    await remote.run("a", "x = 41")
    assert (await remote.run("a", "print('x'); x + 1")).logs == "x\n42\n"
    assert "ZeroDivisionError" in str((await remote.run("a", "1 / 0")).error)


async def test_files_go_in_and_out_and_changes_are_told(remote: Remote) -> None:
    await remote.put("a", "in.csv", b"1,2")
    result = await remote.run("a", "open('/mnt/data/out.txt', 'w').write(open('/mnt/data/in.csv').read() * 2)")
    assert [info.name for info in result.changed] == ["out.txt"]
    assert await remote.get("a", "out.txt") == b"1,21,2"
    assert {info.name for info in await remote.list("a")} == {"in.csv", "out.txt"}
    for name in ("../x", "missing"):
        with pytest.raises(BadFile):
            await remote.get("a", name)


async def test_a_machine_has_no_internet_and_lives_as_long_as_a_session_may_idle(
    remote: Remote, provider: Provider
) -> None:
    await remote.renew("a")
    made, renewed = provider.asked
    assert made["allow_internet_access"] is False
    assert (made["timeout"], renewed["timeout"]) == (300, 300)


async def test_code_that_runs_too_long_is_interrupted_and_its_state_kept(remote: Remote) -> None:
    await remote.run("a", "x = 42")
    assert (await remote.run("a", "import time\ntime.sleep(9)", seconds=0.3)).timed_out
    assert (await remote.run("a", "x")).logs == "42\n"


async def test_a_machine_that_is_gone_is_told_and_made_again(remote: Remote, provider: Provider) -> None:
    provider.machines.clear()
    assert "the remote machine is gone" in str((await remote.run("a", "1")).session_lost)
    with pytest.raises(NoSession):
        await remote.run("a", "1")
    await remote.create("a")
    assert (await remote.run("a", "1")).logs == "1\n"


async def test_a_wrong_key_is_refused_without_showing_it(provider: Provider) -> None:
    remote = Remote(account(provider, "e2b_wrong_key"), Settings())
    with pytest.raises(NoSandbox, match="answered 401") as refusal:
        await remote.create("a")
    await remote.aclose()
    assert "e2b_wrong_key" not in refusal.value.message + repr(account(provider, "e2b_wrong_key"))
