"""How far a callable adapter's answers can be believed: as code or a configuration says, and as a configuration demands."""

from __future__ import annotations

from failsoft.config import AdapterConfig
from failsoft.outcome import Grade
from failsoft.providers import GRADES


def grade_of(given: object, place: str, problems: list[str]) -> Grade:
    """A grade, or the word that a configuration has for it; anything else is a problem."""
    if isinstance(given, Grade):
        return given
    if isinstance(given, str) and given in GRADES:
        return Grade[given.upper()]
    known = ", ".join(f'"{each}"' for each in GRADES)
    problems.append(f"{place}.grade: is one of {known}, or a failsoft.outcome.Grade, not {given!r:.60}")
    return Grade.UNKNOWN


def check_belief(config: AdapterConfig, place: str, problems: list[str], grade: Grade, *, served: bool) -> None:
    """Can an answer of a callable adapter be believed as far as it's demanded, and is a grade one of anything?

    Args:
        config: the adapter's.
        place: its own.
        problems: what's wrong is told there; it stays silent of what hangs on a key that's told to be wrong already.
        grade: how far the served model's name can be believed.
        served: does anything say that name?
    """
    if any(each.startswith((f"{place}.grade:", f"{place}.served_by:")) for each in problems):
        return
    if grade is not Grade.UNKNOWN and not served:
        problems.append(
            f"{place}.grade: belongs to served_by (in code: served), and there's none that says who answered"
        )
    least = config.require_grade
    if least is None or (served and grade.is_worth(Grade[least.upper()])):
        return
    if served:
        why = f'the grade of what served_by (in code: served) says is "{grade.name.lower()}": write grade = "{least}"'
        problems.append(f"{place}.require_grade: no answer would do: {why} if it can be believed that far")
    else:
        why = "nothing says which model answered: name what does by served_by (in code: served)"
        problems.append(f'{place}.require_grade: no answer would do: {why}, and write grade = "{least}"')
