"""The capabilities of a procurement office: an item's class, what a notice asks of a bidder, whether an item will do."""

from __future__ import annotations

from failsoft import Capability, Prompt, Referral, Required, Sampling
from procurement.alternatives import conflicts, names, rate
from procurement.rules import KeywordTable, check
from procurement.vocabulary import (
    TITLES,
    Characteristic,
    Citation,
    Finding,
    Item,
    Notice,
    Pair,
    Part,
    Rating,
    SetAside,
    Solicitation,
    SupplyClass,
    Verdict,
)

__all__ = [
    "Characteristic",
    "CheckSolicitation",
    "Citation",
    "ClassifyItem",
    "Finding",
    "Item",
    "Notice",
    "Pair",
    "Part",
    "RateAlternative",
    "Rating",
    "SetAside",
    "Solicitation",
    "SupplyClass",
    "Verdict",
]

_CLASS_LIST = "\n".join(f"{code}: {title}" for code, title in TITLES.items())
_by_keywords = KeywordTable()


class ClassifyItem(Capability[Item, SupplyClass]):
    """Which Federal Supply Class does this item belong to? Answer with the code of exactly one of these classes."""

    golden = (  # one that its stock number decides, others that a word of the table does: a review sees which answer moved
        Item(description="Screw, cap, hexagon head, steel", nsn="5305-00-068-0508"),
        Item(description="Push broom, 24 inch, polypropylene bristles"),
        Item(description="Claw hammer, 16 ounce head, fibreglass handle with cushioned grip"),
        Item(description="Toner cartridge, black, for laser printer"),
        Item(description="Hexagon nut, self locking, 1/4 inch"),
    )
    sampling = Sampling(max_tokens=64)  # the code is short, but a grammar may allow white space after it

    def fallback(self, request: Item) -> SupplyClass:
        """The class by stock number, else by keywords."""
        return _by_keywords(request)

    def prompt(self, request: Item) -> Prompt:
        """The classes as system text, the description as user text; the stock number would give the answer away."""
        return Prompt.of(request.description, system=f"{self.instruction}\n\n{_CLASS_LIST}")


class CheckSolicitation(Capability[Notice, Solicitation | Referral]):
    """For whom is this procurement set aside, and which FAR and DFARS clauses does the notice name?

    Quote each clause's words exactly as they stand in the notice.
    """

    sampling = Sampling(max_tokens=1024)

    def fallback(self, request: Notice) -> Solicitation | Referral:
        """Regular expressions over the text; silence and contradiction refer to a person."""
        return check(request)

    def prompt(self, request: Notice) -> Prompt:
        """The instruction as system text, the notice as user text."""
        return Prompt.of(request.text, system=self.instruction)

    def accept(self, request: Notice, response: Solicitation | Referral) -> None:
        """Each quote must stand in the notice, with its clause's number in it.

        Raises:
            ValueError: a quote doesn't.
        """
        if isinstance(response, Referral):
            return
        for clause in response.clauses:
            if clause.quote not in request.text:
                raise ValueError(f"the quote for {clause.number} is not in the notice")
            if clause.number not in clause.quote:
                raise ValueError(f"the quote for {clause.number} doesn't name it")


class RateAlternative(Capability[Pair, Rating | Referral]):
    """Is the offered item an acceptable alternative for the wanted one, in form, fit and function?

    Name in each finding a characteristic that is stated of one of them, in the same words.
    """

    review = Required()  # whoever signs for the part decides; this prepares it
    golden = (
        Pair(
            wanted=Part(
                nsn="5310-00-111-2222",
                name="NUT, PLAIN, HEXAGON",
                characteristics=(Characteristic(name="THREAD SIZE", value="0.250 INCHES"),),
            ),
            offered=Part(
                nsn="5310-00-333-4444",
                name="NUT, PLAIN, HEXAGON",
                characteristics=(Characteristic(name="THREAD SIZE", value="0.312 INCHES"),),
            ),
        ),
    )
    sampling = Sampling(max_tokens=512)

    def fallback(self, request: Pair) -> Rating | Referral:
        """Rules over what's stated of both; what they can't judge is for a person."""
        return rate(request)

    def accept(self, request: Pair, response: Rating | Referral) -> None:
        """Each finding is about something that's stated, and no stated conflict is passed over.

        Raises:
            ValueError: one isn't, or one is.
        """
        if isinstance(response, Referral):
            return
        known = names(request)
        for each in response.findings:
            if " ".join(each.characteristic.upper().split()) not in known:
                raise ValueError(f"{each.characteristic} isn't stated of either item")
        against = conflicts(request)
        if against and response.verdict is Verdict.ACCEPTABLE:
            raise ValueError(f"it isn't acceptable: {against[0].characteristic} is {against[0].says}")
