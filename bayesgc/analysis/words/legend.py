"""What the signs in the table of a result mean."""

from __future__ import annotations

import math

from bayesgc.analysis.measures import SOFT, VIOLATION, exact, measures_of
from bayesgc.analysis.tails import doubtless, few_islands
from bayesgc.analysis.tree.summary import Json
from bayesgc.analysis.words.numerals import rounded
from bayesgc.analysis.words.wording import OPTIMIZERS, judged, reached_words

MEDIANS = "* median [quartiles], as the mean cannot be believed"


def legend_line(result: Json) -> str:
    """What the signs in the rows mean."""
    parts = [_spreads(result)]
    parts += [few] if (few := few_islands(result)) else []
    parts += _of_standardised(result["task"])
    measures = measures_of(result)
    parts += _of_test_set(result)
    if judged(result):
        parts += [f"× {measures.ignorant.name}: relative to {measures.ignorant.relative}"]
    if (ensemble := result.get("ensemble")) is not None:
        parts += ["by vote: each test example gets the class that most draws of the posterior give it"]
        parts += ["?: an error that is not known"] if ensemble["mcse"] is None else []
    parts += [VIOLATION] if SOFT in reached_words(result) else []
    parts += [MEDIANS] if any(_doubted(result, law) for law in ("prior", "posterior")) else []
    if share := result.get("not_finite"):
        parts += [
            f"{rounded(100 * share)} % of the prior's draws are not finite: they fit nothing and are not in its row"
        ]
    gd = result["gd"]
    if gd is not None:
        protocol = f", by the protocol {gd['protocol']}" if gd.get("protocol") else ""
        parts.append(f"GD: {_search(gd)}{protocol}")
        if gd["at_eps"] is not None:
            reached = "fitted" if measures.more_than_loss else "passed it"
            parts.append(f"{measures.first_fit}: where a restart first {reached}")
        parts += [reason] if (reason := result["reasons"].get("gd_diverged")) else []
    return "; ".join(parts)


def _search(gd: Json) -> str:
    """The optimiser by its name, which with batches is stochastic."""
    name = OPTIMIZERS.get(gd["optimizer"], "gradient descent")
    if not gd.get("batch"):
        return name
    stochastic = name.removeprefix("plain ").replace("gradient descent", "stochastic gradient descent")
    return f"{stochastic}, in batches of {gd['batch']}"


def _spreads(result: Json) -> str:
    """What stands for the middle and the spread of draws, and of restarts."""
    drawn = result["posterior"] is not None or result["reached"] is not None
    restarted = result["gd"] is not None or result["map"] is not None
    parts = [f"mean ± standard error{', of G&C also median [quartiles] of the draws' if drawn else ''}"]
    parts += ["restarts: median [quartiles] of those that fitted"] if restarted else []
    return "; ".join(parts)


def _of_test_set(result: Json) -> list[str]:
    """What no error here holds: the choice of the examples that errors are counted on, for a network like these."""
    found, count = (result["posterior"] or {}).get("test_error"), result["task"].get("test_examples")
    if found is None or not count:
        return []
    share = min(max(found["mean"], 1 / count), 1 - 1 / count)
    spread = rounded(100 * math.sqrt(share * (1 - share) / count), 1)
    moved = f"whose choice moves the test error of one network by ± {spread} %, in no ± here"
    return [f"all on the same {count} test examples, {moved}"]


def _of_standardised(task: Json) -> list[str]:
    """In what unit the losses of a standardised table are, which its columns do not have."""
    if not task.get("standardize") or "examples" in task:
        return []
    return [f"losses of standardised cells, whose variance is 1/{task['shape'][0]}"]


def _doubted(result: Json, name: str) -> bool:
    """Whether the table has medians of a law."""
    law, measures = result[name], measures_of(result)
    if law is None:
        return False
    told = {measures.fit.name} if name == "posterior" and exact(result) else set()
    shown = [
        law[measures.generalisation.name],
        *(law[each.name] for each in measures.columns if each.name not in told),
        law.get("effective_rank"),
    ]
    return any(each is not None and not doubtless(each) for each in shown)
