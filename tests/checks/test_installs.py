"""The wheel where nothing but the base is installed. `python -m checks.installs` tries every extra, too."""

import sys
import tomllib
from pathlib import Path

import pytest

from checks import environments, install_trials, installs


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> environments.Environment:
    folder = tmp_path_factory.mktemp("base")
    environment = environments.new_environment(sys.executable, folder / "env")
    environments.link_base(environment, environments.build_wheel(folder / "wheel"))
    return environment


def test_the_base_alone_works_and_names_the_extra_of_what_it_lacks(
    base: environments.Environment, tmp_path: Path
) -> None:
    install_trials.make_materials(tmp_path / "materials")
    assert [name for name in installs.EXTRAS.values() if base.has(name)] == [installs.EXTRAS["base"]]
    assert install_trials.faults(base, tmp_path / "materials") == []


def test_an_environment_that_fails_is_told_apart(base: environments.Environment, tmp_path: Path) -> None:
    trial = install_trials.Trial(("plan", "absent"), "no such text", "onnxruntime")
    assert "exit code 2" in trial.fault(base, tmp_path)
    unnamed = install_trials.Trial(("plan", "absent"), needs="torch", extra="train")
    assert "no hint" in unnamed.fault(base, tmp_path)


def test_every_extra_is_tried() -> None:
    project = tomllib.loads((environments.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*installs.EXTRAS} == {"base", *project["optional-dependencies"]} - {"dev"}
