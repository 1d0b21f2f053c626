"""The configuration of how long cases are kept: ``[retention]``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from failsoft.config_values import Flag, Label, Section, Text, Whole


class RetentionClassConfig(Section):
    """``[retention.classes.NAME]``: a class of cases.

    Args:
        after: the event that begins the period, as ``failsoft ledger event`` puts it on record.
        keep_days: of the period, 0 to 36,525.
        erasable: may payloads be erased within it, on somebody's decision?
        source: the text that says so, for messages.
        approval: must a second person agree before anything is erased?
    """

    after: Label
    keep_days: Annotated[Whole, Field(ge=0, le=36_525)]
    erasable: Flag = True
    source: Text = "configured"
    approval: Flag = False


class RetentionConfig(Section):
    """``[retention]``: which class a case is of.

    Args:
        default: the class of cases whose kind isn't named; None: none is known.
        kinds: the class of cases of a kind.
        classes: besides those that come with failsoft, or in their place.
    """

    default: Label | None = None
    kinds: dict[Label, Label] = Field(default_factory=dict)
    classes: dict[Label, RetentionClassConfig] = Field(default_factory=dict)
