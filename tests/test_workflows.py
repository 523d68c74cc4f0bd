"""What the workflows promise is what pyproject.toml, the changelog and the ways to run the checks say."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}


def steps(name: str) -> list[dict]:
    workflow = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def extras_in(text: str) -> set[str]:
    return {extra for found in re.findall(r"\.\[([a-z,]+)\]", text) for extra in found.split(",")}


def test_the_tests_run_on_every_python_that_is_promised():
    workflow = yaml.safe_load(WORKFLOWS["tests"].read_text(encoding="utf-8"))
    promised = [each.rsplit(" ", 1)[1] for each in PROJECT["classifiers"] if ":: 3." in each]
    assert workflow["jobs"]["pytest"]["strategy"]["matrix"]["python"] == promised


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_installs_extras_that_exist_and_asks_for_no_more_than_reading(name):
    workflow = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    text = " ".join(step.get("run", "") for step in steps(name))
    assert extras_in(text) <= PROJECT["optional-dependencies"].keys()
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_the_documentation_is_built_as_the_hook_builds_it():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    hook = next(each["entry"] for each in hooks if each["id"] == "docs")
    built = next(step["run"] for step in steps("docs") if "sphinx-build" in step.get("run", ""))
    assert set(built.split()) == set(hook.split()) - {"-q"}


def test_a_release_takes_the_section_of_its_version_from_the_changelog(tmp_path):
    script = next(step["run"] for step in steps("release") if "awk" in step.get("run", ""))
    text = "# Changelog\n\n## Unreleased\n\n- a\n\n## 0.2.0 (2027-01-02)\n\n- b\n\n## 0.2.01\n\n- c\n"
    (tmp_path / "CHANGELOG.md").write_text(text, encoding="utf-8")

    def run(tag: str) -> int:
        environment = {"GITHUB_REF_NAME": tag, "PATH": "/usr/bin:/bin"}
        return subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=False).returncode

    assert run("v0.2.0") == 0
    assert (tmp_path / "notes.md").read_text(encoding="utf-8").split() == ["-", "b"]
    assert run("v0.3.0") == 1


def test_forms_for_issues_have_what_github_asks_for():
    forms = [each for each in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if each.stem != "config"]
    assert forms
    for form in (yaml.safe_load(path.read_text(encoding="utf-8")) for path in forms):
        assert {"name", "description", "body"} <= form.keys()
        assert all("label" in part["attributes"] for part in form["body"] if part["type"] != "markdown")


def test_the_changelog_is_in_sections_from_new_to_old():
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    dates = [re.search(r"\d{4}-\d\d-\d\d", each)[0] for each in headings[1:]]
    assert headings[0] == "Unreleased"
    assert dates == sorted(dates, reverse=True)
