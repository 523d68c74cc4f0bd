"""The command line as a function: arguments in; exit code, standard output and standard error out."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import bayesgc.cli
import bayesgc.validate
from bayesgc.analysis.tree.schema import result_schema
from bayesgc.inference import Progress

SCHEMA = Draft202012Validator(result_schema())


@dataclass(frozen=True)
class Ended:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """Standard output as one strict JSON object that the shipped schema allows."""
        found: dict[str, Any] = json.loads(self.out, parse_constant=_refuse)
        SCHEMA.validate(found)
        return found


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} in the JSON")


Command = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``bayesgc`` with the given arguments in an empty folder, inside this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bayesgc", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            bayesgc.cli.main()
        assert isinstance(stop.value.code, int)
        return Ended(stop.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Send Ctrl-C to this process when a run reports the given stage, at its first sign of life."""
    import bayesgc.cli.session as session

    plain = session.infer

    def arm(stage: str, times: int = 1) -> None:
        left = [times]

        def report(progress: Progress) -> None:
            if progress.stage == stage and left[0]:
                left[0] -= 1
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(session, "infer", lambda *args, **kw: plain(*args, **{**kw, "report": report}))

    return arm
