"""openai-python's own tests of the resources that the server has, from its sdist, through the shim.

The sdist is downloaded by pip when this runs and is never kept in the repository.
"""

import hashlib
import os
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

VERSION = "3.54.0"
SHA256 = "2e393e63f8a38be6452806f9ef0b6534fecd6d41ab3b2165180dfce3599249cd"
FILES = {
    "beta/test_assistants.py": "Assistants",
    "beta/test_threads.py": "Threads",
    "beta/threads/test_messages.py": "Messages",
    "beta/threads/test_runs.py": "Runs",
    "beta/threads/runs/test_steps.py": "Run steps",
    "test_models.py": "Models",
    "test_files.py": "Files",
    "test_uploads.py": "Uploads",
    "uploads/test_parts.py": "Uploads",
    "test_vector_stores.py": "Vector stores",
    "vector_stores/test_files.py": "Vector stores",
    "vector_stores/test_file_batches.py": "Vector stores",
}
"""The files of tests, and the resource that each is about."""
LEFT_OUT = "test_models and (method_delete or response_delete)"
EXCEPTIONS = (
    "the deletion of a model (15 tests), which is refused: whoever runs the server decides which models it offers",
)


@dataclass
class Result:
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def download(folder: Path, python: Path) -> Path:
    """The unpacked sdist."""
    source = folder / f"openai-{VERSION}"
    if not source.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = ["--no-deps", "--no-binary", "openai", "--no-build-isolation", f"openai=={VERSION}"]
        pip = [str(python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
        subprocess.run([*pip, *wanted], check=True)
        packed = folder / f"openai-{VERSION}.tar.gz"
        found = hashlib.sha256(packed.read_bytes()).hexdigest()
        assert found == SHA256, f"{packed} has the hash {found}, not {SHA256}: it is not the sdist that was reviewed."
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
    return source


def run(source: Path, python: Path, base_url: str, report: Path) -> dict[str, Result]:
    """The outcome of each file's tests."""
    tests = [f"tests/api_resources/{file}" for file in FILES]
    options = ["-q", "-o", "addopts=", "--tb=line", "-k", f"not ({LEFT_OUT})", f"--junit-xml={report}"]
    subprocess.run(
        [str(python), "-m", "pytest", *options, *tests],
        cwd=source,
        env={"PATH": os.environ["PATH"], "HOME": str(source), "TEST_API_BASE_URL": base_url},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return _read(report)


def _read(report: Path) -> dict[str, Result]:
    results = {name: Result() for name in FILES.values()}
    modules = {
        f"tests.api_resources.{file.removesuffix('.py').replace('/', '.')}": name for file, name in FILES.items()
    }
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.get("classname", "").rpartition(".")[0]
        result = results[modules[module]]
        problem = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        if case.find("skipped") is not None:
            result.counts["skipped"] += 1
        elif problem is None:
            result.counts["passed"] += 1
        else:
            result.counts["failed"] += 1
            result.failures.append(f"{case.get('name')}: {problem.get('message', '')[:300]}")
    return results
