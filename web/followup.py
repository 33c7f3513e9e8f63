"""What the console shows and keeps of the conversations: the list, notes, call backs, what was not understood, figures.

Rasa's events stay the conversation itself; a row of `bon_moment_conversations` follows it turn by turn, so that the
list needs to read none. Every method is blocking, and raises `sqlalchemy.exc.SQLAlchemyError` where the database
does not answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from statistics import median
from typing import Any

from sqlalchemy import and_, case, delete, desc, func, or_, select, update
from sqlalchemy.engine import Connection

from actions.diagnostic import diagnostiquer, manquantes, parcours
from actions.references import LENGTH, REFERENCES, engine
from web.spelling import candidates, heard
from web.tables import (
    ACCOUNTS,
    CALL_BACKS,
    CONVERSATIONS,
    LONGEST_EXCERPT,
    NOT_UNDERSTOOD,
    NOTES,
    OPINIONS,
    ZONE,
    folded,
    moment,
    now,
)

SILENCE = timedelta(minutes=30)
"""Without a message for so long, a conversation is taken for ended."""
PAGE = 50
MOST_ROWS = 500
"""Call backs shown at once."""
STATES = ("demande", "questionnaire", "verdict", "prise", "terminee")
ISSUES = ("rappel", "devis", "information", "reflexion", "sans_suite", "hors_cible")
CALL_BACK_STATES = ("a_rappeler", "rappele", "injoignable", "sans_suite")

_C = CONVERSATIONS.c
_PHONE = re.compile(r"^[\d\s.()+-]{6,}$")
_NUMBER = re.compile(r"\+?\d[\d .()-]{7,}\d")


def digits(text: str) -> str:
    """A telephone number as it is searched: `+33 6 12…` and `06 12…` are the same."""
    kept = re.sub(r"\D", "", text.replace("(0)", ""))
    return re.sub(r"^(?:00)?33(?=\d{9}$)", "0", kept)


def findable(text: str) -> str:
    """What is kept of `text` to find it by: its words, and its telephone numbers."""
    return " ".join([folded(text), *map(digits, _NUMBER.findall(text))])


def call_back_words(name: str, reach: str, message: str) -> tuple[str, str]:
    """By what a conversation is found thanks to a request for a call back."""
    return f"{name} {message}", reach


def forget_call_backs(connection: Connection, which: Any) -> list[str]:
    """Erase the requests for a call back of which the SQL expression `which` is true, and the words by which they are
    found. Their conversations.
    """
    rows = connection.execute(select(CALL_BACKS).where(which)).all()
    connection.execute(delete(CALL_BACKS).where(which))
    for row in rows:
        left = _C.recherche
        for words in call_back_words(row.nom, row.joindre, row.message):
            left = func.replace(left, findable(words), "")
        connection.execute(update(CONVERSATIONS).where(_C.conversation == row.conversation).values(recherche=left))
    return [str(row.conversation) for row in rows]


def matches(words: str) -> Any:
    """Whether a conversation holds all `words`, or this telephone number, as an SQL expression."""
    said = and_(True, *[_C.recherche.contains(word, autoescape=True) for word in folded(words).split()])
    return or_(said, _C.recherche.contains(digits(words))) if _PHONE.match(words) else said


def state_of(at: datetime) -> Any:
    """The state of a conversation at a moment, one of `STATES`, as an SQL expression."""
    closed = and_(_C.issue.isnot(None), or_(_C.visiteur_le.is_(None), _C.visiteur_le <= _C.issue_le))
    silent = func.coalesce(_C.dernier_le, _C.ouverte_le) < at - SILENCE
    return case(
        (_C.pris_par.isnot(None), "prise"),
        (closed, "terminee"),
        (_C.demande_le.isnot(None), "demande"),
        (silent, "terminee"),
        (_C.verdict.isnot(None), "verdict"),
        else_="questionnaire",
    )


class FollowUp:
    """The console's part of the database."""

    def __init__(self, database_url: str) -> None:
        self._engine = engine(database_url)

    def _set(self, connection: Connection, conversation: str, **values: Any) -> None:
        connection.execute(update(CONVERSATIONS).where(_C.conversation == conversation).values(**values))

    # ── following a conversation ──

    def said(self, conversation: str, who: str, text: str) -> None:
        """A message of `who` (`visiteur`, `guide` or `conseiller`) was added to the conversation."""
        with self._engine.begin() as connection:
            self._said(connection, conversation, who, text)

    def _said(self, connection: Connection, conversation: str, who: str, text: str) -> None:
        excerpt = " ".join(text.split())[:LONGEST_EXCERPT]
        values: dict[str, Any] = {"dernier_le": now(), "dernier_de": who, "dernier_texte": excerpt}
        if who == "visiteur":
            values |= {"visiteur_le": now()}
        if who == "conseiller":  # The visitor has somebody to talk with.
            values |= {"lu_le": now(), "demande_le": None}
        if who != "guide":
            values |= {"recherche": _C.recherche + " " + findable(text)}
        self._set(connection, conversation, **values)

    def announced(self, conversation: str, text: str) -> None:
        """The coming or going of a person was said: the list shows it, nothing was read or answered."""
        with self._engine.begin() as connection:
            self._said(connection, conversation, "guide", text)

    def turn(self, conversation: str, said: str | None, messages: Sequence[Mapping[str, Any]]) -> str | None:
        """The guide has answered `messages` to what the visitor `said` (None where nothing was typed nor chosen).

        Returns the slot of the question that was open before.
        """
        with self._engine.begin() as connection:
            before = connection.execute(select(_C.question).where(_C.conversation == conversation)).scalar()
            last = next((m["text"] for m in reversed(messages) if m.get("text")), None)
            if said is not None:  # The list shows the visitor's own words; its state says where the guide is.
                self._said(connection, conversation, "visiteur", said)
            elif last is not None:
                self._said(connection, conversation, "guide", last)
            for message in messages:
                data = message.get("custom")
                if isinstance(data, dict):
                    self._progress(connection, conversation, data)
        return before

    def _progress(self, connection: Connection, conversation: str, data: Mapping[str, Any]) -> None:
        if data.get("type") == "question":
            step = {"question": data["slot"], "rang": data["index"], "total": data["total"], "verdict": None}
            self._set(connection, conversation, **step)
        elif data.get("type") == "verdict":
            name = data["verdict"] + (f"_{data['variante']}" if data.get("variante") else "")
            self._set(connection, conversation, question=None, verdict=name, verdict_le=now())
        elif data.get("type") == "contact":
            asked = func.coalesce(_C.demandee_le, now())
            self._set(connection, conversation, demande_le=now(), demandee_le=asked)

    def answered(self, conversation: str, given: Mapping[str, str | None]) -> None:
        """The answers are now `given`, by one of the staff: the next question, or the verdict, follows."""
        missing, path = manquantes(given), parcours(given)
        if missing:
            data = {"type": "question", "slot": missing[0], "index": path.index(missing[0]) + 1, "total": len(path)}
        else:
            data = {"type": "verdict", **diagnostiquer(given).payload()}
        with self._engine.begin() as connection:
            self._progress(connection, conversation, data)

    def found_by(self, conversation: str, words: str) -> None:
        """Let the conversation be found by these words too: a name, a number, a note."""
        with self._engine.begin() as connection:
            self._set(connection, conversation, recherche=_C.recherche + " " + findable(words))

    # ── who holds it ──

    def take(self, conversation: str, account: int) -> bool:
        """Give the conversation to an account. False if another holds it."""
        free = (_C.conversation == conversation) & (_C.pris_par.is_(None) | (_C.pris_par == account))
        with self._engine.begin() as connection:
            first = func.coalesce(_C.premiere_prise_le, now())
            row = {"pris_par": account, "pris_le": now(), "lu_le": now(), "premiere_prise_le": first}
            return bool(connection.execute(update(CONVERSATIONS).where(free).values(**row)).rowcount)

    def release(self, conversation: str, waiting: bool | None = False) -> None:
        """Nobody of the staff holds the conversation any more.

        Whether the visitor is still `waiting` for one; None leaves it as it was.
        """
        asked = {True: func.coalesce(_C.demande_le, now()), False: None, None: _C.demande_le}[waiting]
        with self._engine.begin() as connection:
            self._set(connection, conversation, pris_par=None, pris_le=None, demande_le=asked)

    def waits(self, conversation: str) -> bool:
        """Whether the visitor asked for a person who has not spoken yet, or wrote to one who has not answered."""
        query = select(_C.demande_le, _C.dernier_de).where(_C.conversation == conversation)
        with self._engine.begin() as connection:
            found = connection.execute(query).first()
        return bool(found and (found.demande_le or found.dernier_de == "visiteur"))

    def holder(self, conversation: str) -> tuple[int, str, datetime] | None:
        """Account, name and moment of who holds the conversation; None if nobody does."""
        query = (
            select(ACCOUNTS.c.id, ACCOUNTS.c.nom, _C.pris_le)
            .join(CONVERSATIONS, _C.pris_par == ACCOUNTS.c.id)
            .where(_C.conversation == conversation)
        )
        with self._engine.begin() as connection:
            found = connection.execute(query).first()
        return (found.id, found.nom, moment(found.pris_le) or now()) if found else None

    def held_by(self, account: int) -> list[str]:
        """The conversations that an account holds."""
        with self._engine.begin() as connection:
            return list(connection.execute(select(_C.conversation).where(_C.pris_par == account)).scalars())

    def abandoned(self, seconds: float) -> list[tuple[str, int]]:
        """Conversations whose holder has had no page open for so long, with that account."""
        limit = now() - timedelta(seconds=seconds)
        gone = func.coalesce(ACCOUNTS.c.vu_le, _C.pris_le) < limit
        query = (
            select(_C.conversation, ACCOUNTS.c.id)
            .join(ACCOUNTS, ACCOUNTS.c.id == _C.pris_par)
            .where(or_(gone, ACCOUNTS.c.ferme_le.isnot(None)))
        )
        with self._engine.begin() as connection:
            return [(row.conversation, row.id) for row in connection.execute(query)]

    def read(self, conversation: str, account: int) -> bool:
        """One of the staff has it before the eyes: whoever holds it, or anyone if nobody does. Whether it was new."""
        theirs = _C.pris_par.is_(None) | (_C.pris_par == account)
        with self._engine.begin() as connection:
            new = (_C.conversation == conversation) & self._unread() & theirs
            return bool(connection.execute(update(CONVERSATIONS).where(new).values(lu_le=now())).rowcount)

    @staticmethod
    def _unread() -> Any:
        return _C.visiteur_le.isnot(None) & (_C.lu_le.is_(None) | (_C.visiteur_le > _C.lu_le))

    # ── the list ──

    def lines(self, state: str = "", words: str = "", page: int = 0) -> tuple[list[dict[str, Any]], bool]:
        """One page of conversations, the most recent first, and whether there are more.

        `state` is one of `STATES`, or `attente` for those that wait for one of the staff; `words` a reference however
        it is spelled, or what was typed, a name or a number that was left. A line has the columns of the table, `etat`,
        `reference`, `nom` (of the call back), `preneur`, `attend`, `non_lu`, and `approche` where only a reference near
        the one searched was found.
        """
        at = now()
        query = self._lines(at)
        if state:
            query = query.where(self._waits(state_of(at)) if state == "attente" else state_of(at) == state)
        code = heard(words) if words else ""
        patterns = candidates(code)
        whole = 1 if len(code) == LENGTH else 0
        for near, tried in ((False, patterns[:whole]), (True, patterns[whole:])):
            spelled = or_(False, *[REFERENCES.c.reference.like(pattern) for pattern in tried])
            found, more = self._page(query.where(spelled), page) if tried else ([], False)
            if found:
                return [{**line, "approche": near} for line in found], more
        found, more = self._page(query.where(matches(words)), page)
        return [{**line, "approche": False} for line in found], more

    def _lines(self, at: datetime) -> Any:
        name = select(func.max(CALL_BACKS.c.nom)).where(CALL_BACKS.c.conversation == _C.conversation)
        return (
            select(
                CONVERSATIONS,
                REFERENCES.c.reference,
                ACCOUNTS.c.nom.label("preneur"),
                name.scalar_subquery().label("nom"),
                state_of(at).label("etat"),
                self._waits(state_of(at)).label("attend"),
                case((self._unread(), True), else_=False).label("non_lu"),
            )
            .outerjoin(REFERENCES, REFERENCES.c.conversation == _C.conversation)
            .outerjoin(ACCOUNTS, ACCOUNTS.c.id == _C.pris_par)
            .order_by(desc(func.coalesce(_C.dernier_le, _C.ouverte_le)), _C.conversation)
        )

    def _page(self, query: Any, page: int) -> tuple[list[dict[str, Any]], bool]:
        lines = self._rows(query.limit(PAGE + 1).offset(page * PAGE))
        return lines[:PAGE], len(lines) > PAGE

    @staticmethod
    def _waits(state_now: Any) -> Any:
        """Somebody waits for one of the staff: who asked for a person, or wrote to the one who holds it."""
        unanswered = and_(_C.pris_par.isnot(None), _C.dernier_de == "visiteur")
        return case((state_now == "demande", True), (unanswered, True), else_=False)

    def counts(self) -> dict[str, int]:
        """How many conversations in each state, `attente` among them."""
        state_now = state_of(now())
        waits = self._waits(state_now)
        query = select(state_now.label("etat"), waits.label("attend"), func.count()).group_by("etat", "attend")
        found = dict.fromkeys((*STATES, "attente"), 0)
        with self._engine.begin() as connection:
            for state, waiting, number in connection.execute(query):
                found[state] += number
                found["attente"] += number if waiting else 0
        return found

    def line(self, conversation: str) -> dict[str, Any] | None:
        """One conversation, as in the list; None if there is none."""
        found, _ = self._page(self._lines(now()).where(_C.conversation == conversation), 0)
        return {**found[0], "approche": False} if found else None

    # ── notes ──

    def add_note(self, conversation: str, account: int, text: str) -> None:
        """Keep a note for colleagues."""
        with self._engine.begin() as connection:
            row = {"conversation": conversation, "compte": account, "texte": text, "le": now()}
            connection.execute(NOTES.insert().values(**row))
        self.found_by(conversation, text)

    def notes(self, conversation: str) -> list[dict[str, Any]]:
        """The notes of a conversation, the oldest first: `id`, `nom`, `texte`, `le`."""
        query = (
            select(NOTES.c.id, ACCOUNTS.c.nom, NOTES.c.texte, NOTES.c.le)
            .join(ACCOUNTS, ACCOUNTS.c.id == NOTES.c.compte)
            .where(NOTES.c.conversation == conversation)
            .order_by(NOTES.c.id)
        )
        return self._rows(query)

    def _rows(self, query: Any) -> list[dict[str, Any]]:
        with self._engine.begin() as connection:
            rows = connection.execute(query).all()
        return [{name: moment(v) if isinstance(v, datetime) else v for name, v in row._mapping.items()} for row in rows]

    # ── how a call ends, call backs ──

    def close(self, conversation: str, issue: str) -> None:
        """What came of the conversation: one of `ISSUES`."""
        with self._engine.begin() as connection:
            self._set(connection, conversation, issue=issue, issue_le=now(), demande_le=None)

    def call_backs(self, conversation: str | None = None, state: str = "") -> list[dict[str, Any]]:
        """Requests for a call back, the newest first: the columns of the table, `reference`, `preneur`."""
        query = (
            select(CALL_BACKS, REFERENCES.c.reference, ACCOUNTS.c.nom.label("preneur"), _C.conversation.label("gardee"))
            .outerjoin(REFERENCES, REFERENCES.c.conversation == CALL_BACKS.c.conversation)
            .outerjoin(CONVERSATIONS, _C.conversation == CALL_BACKS.c.conversation)
            .outerjoin(ACCOUNTS, ACCOUNTS.c.id == CALL_BACKS.c.traite_par)
            .order_by(CALL_BACKS.c.id.desc())
        )
        if conversation:
            query = query.where(CALL_BACKS.c.conversation == conversation)
        if state:
            query = query.where(CALL_BACKS.c.etat == state)
        return self._rows(query.limit(MOST_ROWS))

    def set_call_back(self, number: int, state: str, account: int) -> str | None:
        """Change the state of a request for a call back. Returns its conversation; None if there is no such request."""
        with self._engine.begin() as connection:
            known = CALL_BACKS.c.id == number
            row = {"etat": state, "traite_par": account, "traite_le": now()}
            connection.execute(update(CALL_BACKS).where(known).values(**row))
            return connection.execute(select(CALL_BACKS.c.conversation).where(known)).scalar()

    def erase_call_back(self, number: int) -> str | None:
        """Erase a request for a call back. Returns its conversation; None if there is no such request."""
        with self._engine.begin() as connection:
            return next(iter(forget_call_backs(connection, CALL_BACKS.c.id == number)), None)

    # ── what was not understood ──

    def add_not_understood(
        self, conversation: str, question: str | None, text: str, taken_for: str | None, sure: float | None
    ) -> None:
        """Keep a message that the guide did not understand, with the question then open."""
        row = {"conversation": conversation, "le": now(), "question": question, "texte": text}
        with self._engine.begin() as connection:
            connection.execute(NOT_UNDERSTOOD.insert().values(**row, pris_pour=taken_for, certitude=sure))

    def not_understood(self, labelled: bool | None = None, most: int | None = None) -> list[dict[str, Any]]:
        """Messages not understood, the newest first, with `nom` of who said what they mean; at most `most`."""
        query = select(NOT_UNDERSTOOD, ACCOUNTS.c.nom).outerjoin(ACCOUNTS, ACCOUNTS.c.id == NOT_UNDERSTOOD.c.sens_par)
        if labelled is not None:
            query = query.where(NOT_UNDERSTOOD.c.sens.isnot(None) if labelled else NOT_UNDERSTOOD.c.sens.is_(None))
        return self._rows(query.order_by(NOT_UNDERSTOOD.c.id.desc()).limit(most))

    def not_understood_in(self, conversation: str) -> list[dict[str, Any]]:
        """Those of one conversation, the oldest first."""
        query = select(NOT_UNDERSTOOD).where(NOT_UNDERSTOOD.c.conversation == conversation)
        return self._rows(query.order_by(NOT_UNDERSTOOD.c.id))

    def count_not_understood(self) -> int:
        """How many of them nobody has said the meaning of."""
        query = select(func.count()).select_from(NOT_UNDERSTOOD).where(NOT_UNDERSTOOD.c.sens.is_(None))
        with self._engine.begin() as connection:
            return int(connection.execute(query).scalar_one())

    def set_meaning(self, number: int, meaning: str | None, account: int) -> bool:
        """What a message meant, by one of the staff; None forgets it. False if there is no such message."""
        row = {"sens": meaning, "sens_par": account if meaning else None, "sens_le": now() if meaning else None}
        with self._engine.begin() as connection:
            changed = connection.execute(update(NOT_UNDERSTOOD).where(NOT_UNDERSTOOD.c.id == number).values(**row))
            return bool(changed.rowcount)

    # ── figures ──

    def figures(self, days: int) -> dict[str, Any]:
        """Counts over the last `days`, today included, of the conversations still kept.

        `jours` {date: begun}, `commencees`, `verdict` (reached at least once), `abandonnees`, `abandons` {slot: ended
        there without a verdict}, `verdicts` {name: last given}, `rappels` {state: requests}, `demandes`, `prises`,
        `delais` (seconds between a request and its taking over: median, longest; None without any), `utile`,
        `pas_utile`.
        """
        first = now().astimezone(ZONE).date() - timedelta(days=days - 1)
        since = datetime(first.year, first.month, first.day, tzinfo=ZONE).astimezone(timezone.utc)
        recent = _C.ouverte_le >= since
        begun = self._rows(
            select(
                _C.ouverte_le,
                _C.verdict,
                _C.verdict_le,
                _C.question,
                _C.demandee_le,
                _C.premiere_prise_le,
                state_of(now()).label("etat"),
            ).where(recent)
        )
        per_day = {first + timedelta(days=n): 0 for n in range(days)}
        left: dict[str, int] = {}
        verdicts: dict[str, int] = {}
        for row in begun:
            day: date = row["ouverte_le"].astimezone(ZONE).date()
            per_day[day] = per_day.get(day, 0) + 1
            if row["verdict"]:
                verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
            if row["etat"] == "terminee" and row["question"] and not row["verdict_le"]:
                left[row["question"]] = left.get(row["question"], 0) + 1
        waits = sorted(
            (row["premiere_prise_le"] - row["demandee_le"]).total_seconds()
            for row in begun
            if row["premiere_prise_le"] and row["demandee_le"] and row["premiere_prise_le"] >= row["demandee_le"]
        )
        made = self._rows(
            select(CALL_BACKS.c.etat, func.count().label("n"))
            .where(CALL_BACKS.c.consentement_le >= since)
            .group_by(CALL_BACKS.c.etat)
        )
        given = self._rows(
            select(OPINIONS.c.utile, func.count().label("n"))
            .where(OPINIONS.c.donne_le >= since)
            .group_by(OPINIONS.c.utile)
        )
        opinions = {bool(row["utile"]): row["n"] for row in given}
        return {
            "jours": per_day,
            "commencees": len(begun),
            "verdict": sum(bool(row["verdict_le"]) for row in begun),
            "abandonnees": sum(row["etat"] == "terminee" and not row["verdict_le"] for row in begun),
            "abandons": left,
            "verdicts": verdicts,
            "rappels": {row["etat"]: row["n"] for row in made},
            "demandes": sum(bool(row["demandee_le"]) for row in begun),
            "prises": len(waits),
            "delais": (median(waits), waits[-1]) if waits else None,
            "utile": opinions.get(True, 0),
            "pas_utile": opinions.get(False, 0),
        }
