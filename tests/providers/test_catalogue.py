"""The models that respun can run by itself."""

from pathlib import Path

import pytest

from respun.providers.catalogue import (
    MODELS,
    QWEN_CODER_15B,
    SMOLLM2,
    CatalogueModel,
    UnknownModel,
    ablest_present,
    is_present,
    model_named,
)


def place(model: CatalogueModel, folder: Path, size: int) -> None:
    with (folder / model.file).open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_carriers_of_a_model_add_up_to_its_file(model: CatalogueModel) -> None:
    assert sum(carrier.size for carrier in model.carriers) == model.size
    assert all(carrier.size > 0 for carrier in model.carriers)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_model_and_each_of_its_wheels_is_pinned_by_a_sha256(model: CatalogueModel) -> None:
    pins = [model.sha256, *(carrier.wheel_sha256 for carrier in model.carriers)]
    assert all(len(bytes.fromhex(pin)) == 32 for pin in pins)
    assert len(set(pins)) == len(pins)


def test_a_model_is_found_by_its_name() -> None:
    assert model_named("smollm2-135m") is SMOLLM2


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"'llama'.*qwen2\.5-coder-1\.5b.*smollm2-135m"):
        model_named("llama")


def test_a_file_of_another_size_is_not_the_model(tmp_path: Path) -> None:
    place(SMOLLM2, tmp_path, 1000)
    assert not is_present(SMOLLM2, tmp_path)


def test_the_ablest_model_in_the_folder_is_chosen(tmp_path: Path) -> None:
    assert ablest_present(tmp_path) is None
    place(SMOLLM2, tmp_path, SMOLLM2.size)
    assert ablest_present(tmp_path) is SMOLLM2
    place(QWEN_CODER_15B, tmp_path, QWEN_CODER_15B.size)
    assert ablest_present(tmp_path) is QWEN_CODER_15B
