"""Libraries that would report how they are used are kept from it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import distilhubert_ko

# Where ONNX Runtime, the Hub's client and others would keep a record, and what tells ONNX Runtime to keep none.
FOLDERS = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
CI = ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL", "TF_BUILD", "BUILDKITE", "TEAMCITY_VERSION")


def run(script: str, *arguments: str | Path, **environment: str) -> str:
    """What a new interpreter prints, whose user has set none of the variables but those in `environment`."""
    unset = (*distilhubert_ko.NO_STATISTICS, *CI)
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=inherited | environment, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list what a process has open")
def test_recognition_leaves_no_record_of_itself_and_opens_no_connection(exported: Path, tmp_path: Path) -> None:
    script = """if True:
        import os, sys
        from pathlib import Path
        import numpy as np
        threads = len(os.listdir("/proc/self/task"))
        from distilhubert_ko.recognition.session import ModelSession
        ModelSession(Path(sys.argv[1]), threads=1, device="cpu").log_probs([np.zeros(16_000, np.float32)])
        opened = [os.path.realpath(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd")]
        print([name for name in opened if "socket:" in name or sys.argv[2] in name])
        print(len(os.listdir("/proc/self/task")) - threads)
    """
    folders = {name: str(tmp_path / name) for name in FOLDERS}
    for folder in folders.values():
        Path(folder).mkdir()
    assert run(script, exported, tmp_path, **folders) == "[]\n0\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_every_library_is_told_before_it_is_imported_and_what_the_user_has_set_stays() -> None:
    script = "import os, distilhubert_ko as d; print([os.environ[name] for name in d.NO_STATISTICS])"
    assert run(script) == f"{[*distilhubert_ko.NO_STATISTICS.values()]}\n"
    own = dict.fromkeys(distilhubert_ko.NO_STATISTICS, "mine")
    assert run(script, **own) == f"{['mine'] * len(own)}\n"
