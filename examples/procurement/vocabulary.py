"""What the capabilities speak about: items and their classes, notices and what they ask of a bidder, alternatives."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Item(BaseModel):
    """One thing to buy.

    Args:
        description: what it is, 1-2,000 characters.
        nsn: its National Stock Number, with or without hyphens, where it has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field(min_length=1, max_length=2000)
    nsn: str | None = Field(default=None, pattern="^[0-9]{4}-?[0-9]{2}-?[0-9]{3}-?[0-9]{4}$")


class SupplyClass(StrEnum):
    """Federal Supply Classes (Handbook H2) that an office buys from most days. The value is the class's code."""

    EDGED_TOOLS = "5110"
    HAND_TOOLS = "5120"
    MEASURING_TOOLS = "5210"
    SCREWS = "5305"
    NUTS_AND_WASHERS = "5310"
    ABRASIVE_DISKS = "5345"
    OFFICE_FURNITURE = "7110"
    TABLEWARE = "7350"
    OFFICE_SUPPLIES = "7510"
    OFFICE_DEVICES = "7520"
    STATIONERY = "7530"
    BROOMS_AND_BRUSHES = "7920"
    CLEANING_COMPOUNDS = "7930"
    BAGS_AND_SACKS = "8105"
    SPECIAL_CLOTHING = "8415"
    PAPER_TOILETRIES = "8540"


TITLES: MappingProxyType[SupplyClass, str] = MappingProxyType(
    {
        SupplyClass.EDGED_TOOLS: "Hand Tools, Edged, Nonpowered",
        SupplyClass.HAND_TOOLS: "Hand Tools, Nonedged, Nonpowered",
        SupplyClass.MEASURING_TOOLS: "Measuring Tools, Craftsmen's",
        SupplyClass.SCREWS: "Screws",
        SupplyClass.NUTS_AND_WASHERS: "Nuts and Washers",
        SupplyClass.ABRASIVE_DISKS: "Disks and Stones, Abrasive",
        SupplyClass.OFFICE_FURNITURE: "Office Furniture",
        SupplyClass.TABLEWARE: "Tableware",
        SupplyClass.OFFICE_SUPPLIES: "Office Supplies",
        SupplyClass.OFFICE_DEVICES: "Office Devices and Accessories",
        SupplyClass.STATIONERY: "Stationery and Record Forms",
        SupplyClass.BROOMS_AND_BRUSHES: "Brooms, Brushes, Mops, and Sponges",
        SupplyClass.CLEANING_COMPOUNDS: "Cleaning and Polishing Compounds and Preparations",
        SupplyClass.BAGS_AND_SACKS: "Bags and Sacks",
        SupplyClass.SPECIAL_CLOTHING: "Clothing, Special Purpose",
        SupplyClass.PAPER_TOILETRIES: "Toiletry Paper Products",
    }
)


class Notice(BaseModel):
    """A solicitation notice as published.

    Args:
        text: all of it, 1-20,000 characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1, max_length=20_000)


class SetAside(StrEnum):
    """For whom a procurement is reserved (FAR part 19; for veterans VAAR 819; for Indian enterprises 25 U.S.C. 47)."""

    UNRESTRICTED = "unrestricted"
    TOTAL_SMALL_BUSINESS = "total small business"
    PARTIAL_SMALL_BUSINESS = "partial small business"
    EIGHT_A = "8(a)"
    HUBZONE = "HUBZone"
    SERVICE_DISABLED_VETERAN = "service-disabled veteran-owned small business"
    VETERAN = "veteran-owned small business"
    WOMEN_OWNED = "women-owned small business"
    ECONOMICALLY_DISADVANTAGED_WOMEN = "economically disadvantaged women-owned small business"
    INDIAN_ENTERPRISE = "Indian economic enterprise"


class Citation(BaseModel):
    """A clause that a notice names, and the words in which it does.

    Args:
        number: the clause's number: FAR ``52.xxx-x`` or DFARS ``252.xxx-xxxx``.
        quote: an exact part of the notice, 1-400 characters, with the number in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # No \d and anchored at both ends: what small grammar compilers understand.
    number: str = Field(pattern="^(52|252)[.][0-9]{3}-[0-9]{1,4}$")
    quote: str = Field(min_length=1, max_length=400)


class Solicitation(BaseModel):
    """What a notice asks of a bidder.

    Args:
        set_aside: for whom it's reserved.
        clauses: the clauses it names, each once, in order of appearance; at most 200.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    set_aside: SetAside
    clauses: tuple[Citation, ...] = Field(max_length=200)


_PRINTED = "^[ -~]*[!-~][ -~]*$"
"""ASCII, as catalogues are, and not only spaces."""


class Characteristic(BaseModel):
    """One thing that a catalogue states of an item, e.g. ``THREAD SIZE``, ``0.250 INCHES``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=_PRINTED, max_length=60)
    value: str = Field(pattern=_PRINTED, max_length=100)


class Part(BaseModel):
    """An item as a catalogue states it.

    Args:
        nsn: its National Stock Number, with or without hyphens.
        name: its approved item name, e.g. ``NUT, SELF-LOCKING, HEXAGON``.
        characteristics: what's stated of it, each once; at most 60.
        critical: a critical safety item, or one whose source an engineer controls.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nsn: str = Field(pattern="^[0-9]{4}-?[0-9]{2}-?[0-9]{3}-?[0-9]{4}$")
    name: str = Field(pattern=_PRINTED, max_length=100)
    characteristics: tuple[Characteristic, ...] = Field(default=(), max_length=60)
    critical: bool = False

    @model_validator(mode="after")
    def _each_once(self) -> Part:
        stated = [" ".join(each.name.upper().split()) for each in self.characteristics]
        if len(set(stated)) < len(stated):
            raise ValueError("a characteristic is stated twice")
        return self


class Pair(BaseModel):
    """Two items: is the offered one an acceptable alternative for the wanted one?"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wanted: Part
    offered: Part


class Verdict(StrEnum):
    """Whether an item will do for another."""

    ACCEPTABLE = "acceptable"
    NOT_ACCEPTABLE = "not acceptable"


class Finding(BaseModel):
    """What a verdict rests on.

    Args:
        characteristic: one that's stated of either item; or ``ITEM NAME``, ``NSN``.
        says: what it says for or against, 1-300 characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    characteristic: str = Field(min_length=1, max_length=60)
    says: str = Field(min_length=1, max_length=300)


class Rating(BaseModel):
    """Whether the offered item will do, and why.

    Args:
        verdict: yes or no.
        findings: what it rests on, 1-20.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    findings: tuple[Finding, ...] = Field(min_length=1, max_length=20)
