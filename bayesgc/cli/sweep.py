"""``bayesgc sweep``, ``reproduce`` and ``study``: run a grid into a store, watch it, print what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from bayesgc.analysis.plots.look import save_figure
from bayesgc.analysis.plots.one_axis import plot_one_axis
from bayesgc.analysis.plots.sweep import save_sweep_plots
from bayesgc.analysis.tree.outputs import check_replaced, is_zarr_of_ours
from bayesgc.analysis.tree.stores import load_cells
from bayesgc.analysis.words.numerals import duration
from bayesgc.cli.infer import INTERRUPTED
from bayesgc.cli.session import NOT_CONVERGED
from bayesgc.cli.show import print_json
from bayesgc.cli.sweep_tables import print_forecast, print_place, print_summary
from bayesgc.cli.terminal import Terminal, kept, say
from bayesgc.experiments.checks import check_cells
from bayesgc.experiments.dataset import export_zarr
from bayesgc.experiments.figures import ALL, FIGURES, figure
from bayesgc.experiments.forecast import seconds_of
from bayesgc.experiments.runners import available_cores
from bayesgc.experiments.running import run_sweep
from bayesgc.experiments.studies import is_study_file, study_named
from bayesgc.experiments.sweep import Sweep
from bayesgc.experiments.watch import Report, in_lines
from bayesgc.validate import InputError, positive_integer

PLOTS = ("figure.png", "figure.svg", "figure.pdf")


@dataclass(frozen=True)
class SweepCommand:
    """The options that ``sweep``, ``reproduce`` and ``study`` share."""

    out: Path
    method: str | None
    scheduler: str | None
    workers: int | None
    dry_run: bool
    zarr: bool
    as_json: bool
    quiet: bool
    force: bool = False

    def run_file(self, file: Path) -> int:
        """The sweep of a TOML file."""
        return self._run({self.out: Sweep.load(file)}, inputs=[file])

    def run_figure(self, name: str, *, quick: bool) -> int:
        """One figure of the paper, or all of them, each in a folder of its own."""
        if name != ALL:
            return self._run({self.out: figure(name, quick=quick)})
        return self._run({self.out / each: figure(each, quick=quick) for each in FIGURES})

    def run_study(self, name: str, *, quick: bool) -> int:
        """One study, its parts in folders of their own, and in one picture where they are along one axis."""
        study, inputs = study_named(name), [Path(name)] if is_study_file(name) else []
        sweeps = {self.out / part: sweep for part, sweep in study.sweeps(quick=quick).items()}
        joint = PLOTS if study.one_axis else ()
        for file in joint:
            check_replaced("the picture", self.out / file, force=self.force)
        code = self._run(sweeps, judged=len(sweeps) == 1, inputs=inputs)
        if len(sweeps) > 1 and code == 0 and not self.dry_run:
            if joint:
                figure = plot_one_axis([load_cells(store / "sweep.nc") for store in sweeps])
                for file in joint:
                    save_figure(figure, self.out / file)
            if self._talks:
                print_place(Terminal(), self.out, joint or [store.name for store in sweeps], judged=True)
        return code

    @property
    def _talks(self) -> bool:
        return not self.as_json and not self.quiet

    def _run(self, sweeps: dict[Path, Sweep], *, judged: bool = True, inputs: Sequence[Path] = ()) -> int:
        """Each sweep into its store, ``judged`` by itself; returns the exit code, 3 where every cell of one failed."""
        for store, sweep in sweeps.items():
            self._check_files(store, sweep, inputs)
        try:
            with kept("" if self.dry_run else f"what was finished is in {self.out}"):
                return self._print([self._one(sweep, store, judged=judged) for store, sweep in sweeps.items()])
        except KeyboardInterrupt:
            say(f"interrupted; what was finished is in {self.out}: run it again to go on.")
            return INTERRUPTED

    def _check_files(self, store: Path, sweep: Sweep, inputs: Sequence[Path]) -> None:
        """Refuse, before anything runs, to replace what the sweep reads, or what others left in a folder."""
        force = self.force or (store / "sweep.json").exists()  # which the store itself judges
        read = {*inputs, *(file for cell in sweep.cells() for file in cell.options.files())}
        for name in ("sweep.json", "sweep.nc", *PLOTS):
            check_replaced("the store's file", store / name, inputs=read, force=force)
        exported = store / "sweep.zarr"
        if self.zarr and not force and exported.exists() and not is_zarr_of_ours(exported):
            raise InputError(
                f"--zarr would replace {str(exported)!r}, which bayesgc did not write; give another folder, or --force."
            )

    def _one(self, sweep: Sweep, store: Path, *, judged: bool) -> dict[str, Any]:
        if self.workers is not None:
            positive_integer("--workers", self.workers)
        if self.method is not None:
            sweep = sweep.with_options(method=self.method)
        if self.dry_run:
            return self._forecast(sweep)
        report, show = self._report(sweep, store), not self.quiet
        dataset = run_sweep(sweep, store, workers=self.workers, scheduler=self.scheduler, report=report, progress=show)
        files = [str(path) for path in save_sweep_plots(dataset, [store / name for name in PLOTS])]
        if self.zarr:
            files.append(str(export_zarr(dataset, store / "sweep.zarr")))
        result = summary(sweep, dataset) | {"store": str(store), "files": [str(store / "sweep.nc"), *files]}
        if self._talks:
            print_summary(Terminal(), sweep, dataset, result, judged=judged)
        return result

    def _report(self, sweep: Sweep, store: Path) -> Report | None:
        """Lines on standard error where it is no terminal, in which a bar is drawn."""
        if not self._talks or Terminal(stderr=True).is_terminal:
            return None
        kept = f"what is finished stays in {store}, where the same command goes on"
        return in_lines(say, f"{sweep.title}: {len(sweep.cells())} cells; Ctrl-C ends it: {kept}")

    def _forecast(self, sweep: Sweep) -> dict[str, Any]:
        """The cells, checked, and how long they may take, without running any."""
        cells = sweep.cells()
        check_cells(cells)
        seconds = seconds_of(cells)
        cores = self.workers or available_cores()
        result = {
            "title": sweep.title,
            "cells": [{name: _json_value(value) for name, value in cell.place.items()} for cell in cells],
            "jobs": len(seconds),
            "core_seconds": round(sum(seconds.values()), 1),
            "workers": cores,
            "seconds": round(sum(seconds.values()) / cores, 1),
        }
        if self._talks:
            print_forecast(Terminal(), cells, seconds, result)
        return result

    def _print(self, results: list[dict[str, Any]]) -> int:
        if self.as_json:
            print_json(results[0] if len(results) == 1 else {"sweeps": results})
        elif self.dry_run and not self.quiet and len(results) > 1:
            Terminal().print(f"All together: about {duration(sum(each['seconds'] for each in results))}.")
        fruitless = [] if self.dry_run else [each for each in results if not each["done"]]
        for each in fruitless:
            say(f"every cell failed; {each['store']}/failures says why.")
        return NOT_CONVERGED if fruitless else 0


def summary(sweep: Sweep, dataset: xr.Dataset) -> dict[str, Any]:
    """What a sweep came to: counts, and what went wrong where."""
    outcome, failure, flag = (dataset[name].values.ravel() for name in ("outcome", "failure", "flag"))
    places = [cell.place for cell in sweep.cells()]

    def where(texts: Any) -> list[dict[str, Any]]:
        return [
            {"cell": {name: _json_value(value) for name, value in place.items()}, "reason": str(text)}
            for place, text in zip(places, texts, strict=True)
            if text
        ]

    seeds = dataset["seed_used"].values.ravel()
    return {
        "schema": 1,
        "title": sweep.title,
        "question": sweep.question,
        "cells": int(outcome.size),
        "done": int(sum(text not in ("", "failed") for text in outcome)),
        "failed": where(failure),
        "flagged": where(flag),
        "shared_draws": bool(len(set(seeds[seeds == seeds])) < sum(seeds == seeds)),
        "seconds": float(dataset["seconds"].sum()),
        "notes": sweep.notes,
    }


def _json_value(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool) else str(value)
