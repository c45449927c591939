"""The genuine recordings of the resources that the server has, replayed against it."""

from collections.abc import Iterator

import httpx2
import pytest

from plugins import recorded
from plugins.recorded import RecordedModel, models_of, turns_of
from plugins.replay import LATER, Ids, replay, unmeant
from plugins.server import serving

TESTS = {
    name: exchanges
    for name, exchanges in recorded.tests().items()
    if name.split("/")[1].removesuffix("Async") not in LATER
}


@pytest.fixture(scope="module")
def model() -> Iterator[RecordedModel]:
    model = RecordedModel(models_of([each for exchanges in TESTS.values() for each in exchanges]))
    yield model
    model.close()


@pytest.fixture(scope="module")
def http(model: RecordedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    flags = ("--provider", "openai", "--openai-base-url", model.base_url)
    with (
        serving(tmp_path_factory.mktemp("recordings"), *flags) as server,
        httpx2.Client(base_url=server.base_url, timeout=20) as client,
    ):
        yield client


def test_the_recordings_are_whole():
    if not recorded.folder().is_dir():
        pytest.skip(f"There is no folder {recorded.folder()}; set RESPUN_CONTRACT to the one with {recorded.NAME}.")
    path = recorded.folder() / recorded.NAME
    assert path.is_file(), f"{recorded.folder()} holds no {recorded.NAME}."
    found = len(path.read_text("utf-8").splitlines())
    assert found == recorded.LINES, f"{path} has {found} exchanges, not {recorded.LINES}: it is another file."


@pytest.mark.parametrize("name", TESTS)
def test_a_recorded_test_gets_the_recorded_answers(http: httpx2.Client, model: RecordedModel, name: str):
    model.play(turns_of(TESTS[name]))
    ids = Ids()
    assert unmeant([line for exchange in TESTS[name] for line in replay(http, model, exchange, ids)]) == []
