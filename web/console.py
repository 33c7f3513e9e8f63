"""The staff's console: its pages, and what they send. Each endpoint needs a session of a `conseiller`.

Pages are made here, whole; the page's script reads them again when it is told that something changed. Every refusal is
a French sentence of `console.yml`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from actions import texts
from actions.diagnostic import SLOTS, manquantes
from web import dossier, person, views
from web.accounts import Account
from web.bilan import bilan
from web.door import Refused, clean
from web.followup import CALL_BACK_STATES, ISSUES, STATES, FollowUp
from web.guard import Stream
from web.session import CONSOLE, Endpoint, accounts_of, csrf_of, desk_of, done, door_of, form_of, token_of
from web.views import SAID

LONGEST_NOTE = 4_000
MOST_MESSAGES = 200
"""Messages not understood shown at once."""
PERIODS = (7, 30)
"""Days that the figures may cover."""


def followup_of(request: Request) -> FollowUp:
    """The list of conversations."""
    return desk_of(request).followup


# ── pages ──


async def signed_page(
    request: Request, account: Account, name: str, tab: str, counts: dict[str, int] | None = None, **context: Any
) -> Response:
    """A page of someone who has signed in. `counts` are those of the list, if they were read already."""
    if counts is None:
        counts = await run_in_threadpool(followup_of(request).counts)
    common = {
        "moi": account,
        "csrf": csrf_of(request, token_of(request)),
        "onglet": tab,
        "attente": counts["attente"],
    }
    return CONSOLE.page(request, name, **common, **context)


def link_of(conversation: str) -> str:
    """The page of a conversation."""
    return f"/console/c/{conversation}"


def choices(kind: str, values: tuple[str, ...]) -> list[dict[str, str]]:
    """The values of a list to choose from, each with its title."""
    return [{"valeur": value, "titre": SAID[f"{kind}_{value}"]} for value in values]


def line_view(line: dict[str, Any]) -> dict[str, Any]:
    """A line of the list, as the page shows it."""
    last = dossier.when(line["dernier_le"])
    return {
        **{name: line[name] for name in ("conversation", "reference", "origine", "nom", "etat", "approche")},
        "lien": link_of(line["conversation"]),
        "etat_texte": dossier.state(line),
        "depuis": dossier.when(line["ouverte_le"]),
        "dernier": {"de": line["dernier_de"], "texte": line["dernier_texte"] or "", **last},
        "non_lu": bool(line["non_lu"]),
        "attend": bool(line["attend"]),
    }


async def listing(request: Request, account: Account) -> Response:
    """The conversations."""
    state, words = request.query_params.get("etat", ""), clean(request.query_params.get("q", ""))[:200]
    state = state if state in (*STATES, "attente") else ""
    asked = request.query_params.get("page", "")
    number = int(asked) if re.fullmatch(r"\d{1,4}", asked, re.ASCII) else 0
    lines, more = await run_in_threadpool(followup_of(request).lines, state, words, number)
    counts = await run_in_threadpool(followup_of(request).counts)
    states = [{"valeur": "", "titre": SAID["filtre_toutes"], "nombre": sum(counts[s] for s in STATES)}]
    for name in ("attente", "questionnaire", "verdict", "prise", "terminee"):
        states.append({"valeur": name, "titre": SAID[f"filtre_{name}"], "nombre": counts[name]})
    after = urlencode({"etat": state, "q": words, "page": number + 1})
    return await signed_page(
        request,
        account,
        "liste",
        "conversations",
        counts,
        filtres={"etat": state, "q": words},
        etats=states,
        lignes=[line_view(line) for line in lines],
        suite=f"/console?{after}" if more else None,
    )


async def known_line(request: Request) -> dict[str, Any]:
    """The conversation that the address names.

    Raises:
        Refused: there is none.
    """
    line = await run_in_threadpool(followup_of(request).line, request.path_params["conversation"])
    if line is None:
        raise Refused(404, "conversation_absente")
    return line


async def tracker_of(request: Request, conversation: str) -> tuple[dict[str, str | None], list[dict[str, Any]]]:
    """Answers and events of a conversation.

    Raises:
        Refused: Rasa does not answer.
    """
    found = await door_of(request).tracker(conversation, "ALL")
    if found is None:
        raise Refused(503, "guide_absent")
    return views.known(found.get("slots") or {}), list(found.get("events") or [])


async def about(request: Request, account: Account, line: dict[str, Any]) -> dict[str, Any]:
    """What the pages of a conversation share."""
    conversation = line["conversation"]
    mine = line["pris_par"] == account.id
    taken = {"nom": line["preneur"], "moi": mine, **dossier.when(line["pris_le"])} if line["pris_par"] else None
    notes = await run_in_threadpool(followup_of(request).notes, conversation)
    asked = await run_in_threadpool(followup_of(request).call_backs, conversation)
    issue = line["issue"]
    return {
        "c": line_view(line),
        "pris": taken,
        "notes": [{**note, **dossier.when(note["le"])} for note in notes],
        "rappels": [call_back_view(row) for row in reversed(asked)],
        "etats_rappel": choices("rappel", CALL_BACK_STATES),
        "issues": choices("issue", ISSUES),
        "issue": {"titre": SAID[f"issue_{issue}"], **dossier.when(line["issue_le"])} if issue else None,
    }


def call_back_view(row: dict[str, Any]) -> dict[str, Any]:
    """A request for a call back, as pages show it."""
    reach = str(row["joindre"])
    link = f"mailto:{quote(reach, safe='@+')}" if "@" in reach else "tel:" + re.sub(r"[^\d+]", "", reach)
    return {
        **{name: row[name] for name in ("id", "nom", "joindre", "message", "etat", "reference")},
        "joindre_lien": link,
        "etat_titre": SAID[f"rappel_{row['etat']}"],
        "lien": link_of(row["conversation"]) if row["gardee"] else None,
        "traite_par": row["preneur"],
        **dossier.when(row["consentement_le"]),
    }


async def conversation_page(request: Request, account: Account) -> Response:
    """One conversation: what was said, and beside it what it amounts to."""
    line = await known_line(request)
    conversation = line["conversation"]
    given, events = await tracker_of(request, conversation)
    if await run_in_threadpool(followup_of(request).read, conversation, account.id):
        door_of(request).changed(conversation)
    await desk_of(request).opened(account, conversation)
    return await signed_page(
        request,
        account,
        "conversation",
        "conversations",
        **await about(request, account, {**line, "non_lu": False}),
        fil=dossier.transcript(events),
        reponses=dossier.answers(given, events),
        progression=views.summary(given),
        verdict=dossier.verdict(given),
        en_ligne=door_of(request).is_watched(conversation),
    )


async def script_page(request: Request, account: Account) -> Response:
    """The script of a call."""
    line = await known_line(request)
    given, events = await tracker_of(request, line["conversation"])
    await desk_of(request).opened(account, line["conversation"])
    shared = await about(request, account, line)
    return await signed_page(
        request,
        account,
        "script",
        "conversations",
        **shared,
        questions=dossier.questions(given, events),
        manquantes=[{"slot": slot, "nom": texts.text(f"utter_nom_{slot}")} for slot in manquantes(given)],
        progression=views.summary(given),
        verdict=dossier.verdict(given),
        reference=line["reference"],
        en_ligne=door_of(request).is_watched(line["conversation"]),
        prevenir=SAID["prevenir"].format(jours=door_of(request).settings.retention_days),
    )


async def not_understood_page(request: Request, account: Account) -> Response:
    """What the guide did not understand."""
    said = request.query_params.get("filtre") == "dits"
    rows = await run_in_threadpool(followup_of(request).not_understood, said, MOST_MESSAGES)
    left = await run_in_threadpool(followup_of(request).count_not_understood)
    groups = dossier.meanings()
    return await signed_page(
        request,
        account,
        "incompris",
        "incompris",
        filtre="dits" if said else "a_dire",
        groupes=groups,
        restants=left,
        messages=[
            {
                "id": row["id"],
                "question_nom": texts.text(f"utter_nom_{row['question']}") if row["question"] else None,
                "texte": row["texte"],
                "lien": link_of(row["conversation"]),
                "pris_pour_titre": SAID.get(f"sens_intent_{row['pris_pour']}"),
                "certitude": round(100 * row["certitude"]) if row["certitude"] else None,
                "sens": row["sens"],
                "par": row["nom"],
                **dossier.when(row["le"]),
            }
            for row in rows
        ],
    )


async def call_backs_page(request: Request, account: Account) -> Response:
    """The requests for a call back."""
    state = request.query_params.get("etat", "")
    state = state if state in CALL_BACK_STATES else ""
    rows = await run_in_threadpool(followup_of(request).call_backs, None, state)
    return await signed_page(
        request,
        account,
        "rappels",
        "rappels",
        rappels=[call_back_view(row) for row in rows],
        etats_rappel=choices("rappel", CALL_BACK_STATES),
        filtre=state,
    )


def period(request: Request) -> int:
    """The days that the figures cover."""
    asked = request.query_params.get("jours", "")
    return next((days for days in PERIODS if asked == str(days)), PERIODS[-1])


def duration(seconds: float) -> str:
    """A delay, as it is read."""
    minutes = round(seconds / 60)
    return SAID["secondes"].format(nombre=round(seconds)) if minutes < 2 else SAID["minutes"].format(nombre=minutes)


def tables(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures as tables: `id`, `titre`, `phrase`, `lignes` of `nom`, `texte`, `valeur`, `part` (0 to 1)."""

    def table(name: str, rows: list[tuple[str, float | None, str]], most: float | None = None) -> dict[str, Any]:
        top = most if most is not None else max((value for _, value, _ in rows if value is not None), default=0)
        lines = [
            {"nom": words, "valeur": value, "texte": shown, "part": value / top if top and value is not None else None}
            for words, value, shown in rows
        ]
        title, phrase = SAID[f"chiffre_{name}"], SAID[f"chiffre_{name}_phrase"]
        return {"id": name, "titre": title, "phrase": phrase, "lignes": lines}

    def count(words: str, number: int) -> tuple[str, float, str]:
        return words, float(number), str(number)

    days: dict[date, int] = found["jours"]
    begun = min((day for day, number in days.items() if number), default=max(days))
    shown = [(day, number) for day, number in sorted(days.items()) if day >= begun or day > max(days) - timedelta(7)]
    names = {v: texts.text(f"utter_titre_{v}") for v in found["verdicts"]}
    questions = {slot: texts.text(f"utter_nom_{slot}") for slot in SLOTS if slot in found["abandons"]}
    waits = found["delais"]
    return [
        table("jours", [count(day.strftime("%d/%m"), number) for day, number in shown]),
        table(
            "completion",
            [
                count(SAID["ligne_commencees"], found["commencees"]),
                count(SAID["ligne_verdict"], found["verdict"]),
                count(SAID["ligne_abandonnees"], found["abandonnees"]),
            ],
        ),
        table("abandon", [count(questions[slot], found["abandons"][slot]) for slot in questions]),
        table("verdicts", [count(names[v], n) for v, n in sorted(found["verdicts"].items(), key=lambda x: -x[1])]),
        table("rappels", [count(SAID[f"rappel_{s}"], found["rappels"].get(s, 0)) for s in CALL_BACK_STATES]),
        table(
            "prise",
            [
                count(SAID["ligne_demandes"], found["demandes"]),
                count(SAID["ligne_prises"], found["prises"]),
                *([(SAID["ligne_delai_median"], None, duration(waits[0]))] if waits else []),
                *([(SAID["ligne_delai_long"], None, duration(waits[1]))] if waits else []),
            ],
        ),
        table(
            "satisfaction",
            [count(SAID["ligne_utile"], found["utile"]), count(SAID["ligne_pas_utile"], found["pas_utile"])],
        ),
    ]


async def figures_page(request: Request, account: Account) -> Response:
    """The figures."""
    days = period(request)
    found = await run_in_threadpool(followup_of(request).figures, days)
    return await signed_page(request, account, "chiffres", "chiffres", jours=days, tableaux=tables(found))


async def figures_csv(request: Request, account: Account) -> Response:
    """The figures, for a spreadsheet."""
    found = await run_in_threadpool(followup_of(request).figures, period(request))
    await run_in_threadpool(accounts_of(request).note, account, "chiffres")
    head = [SAID[f"colonne_{name}"] for name in ("tableau", "ligne", "valeur")]
    lines = [(table["titre"], line["nom"], line["texte"]) for table in tables(found) for line in table["lignes"]]
    return spreadsheet([head, *lines], "bon-moment-chiffres.csv")


def spreadsheet(rows: Iterable[Iterable[str]], name: str) -> Response:
    """Rows to keep, the first of them the head, for a French spreadsheet."""
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(rows)
    # Spreadsheets take UTF-8 for what it is only after this mark.
    return attachment("\ufeff" + out.getvalue(), "text/csv", name)


def attachment(content: str | bytes, kind: str, name: str) -> Response:
    """A file to keep."""
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


async def bilan_to_keep(given: dict[str, str | None], reference: str) -> Response:
    """The verdict to keep, as a PDF."""
    made = await run_in_threadpool(bilan, given, reference, views.today())
    return attachment(made, "application/pdf", f"bon-moment-{reference}.pdf")


async def audit_page(request: Request, account: Account) -> Response:
    """Who did what."""
    rows = await run_in_threadpool(accounts_of(request).audit)
    lines = [
        {
            "nom": row["nom"],
            "action_texte": SAID[f"action_{row['action']}"],
            "reference": row["reference"],
            "lien": link_of(row["conversation"]) if row["conversation"] else None,
            **dossier.when(row["le"]),
        }
        for row in rows
    ]
    return await signed_page(request, account, "journal", "journal", lignes=lines)


async def events(request: Request, account: Account) -> Response:
    """What the console's pages are told, as server-sent events."""
    token = token_of(request)

    async def still() -> bool:
        return await run_in_threadpool(accounts_of(request).account_of, token) is not None

    return Stream(request, desk_of(request).stream(account, still), staff=True)


# ── what is sent from the pages of a conversation ──


async def begin_call(request: Request, account: Account) -> Response:
    """A caller is on the line: begin a conversation, and read the script."""
    await form_of(request)
    script = link_of(await desk_of(request).begin_call(account)) + "/script"
    return done(request, script, aller=script)


async def take(request: Request, account: Account) -> Response:
    """Take the conversation over."""
    await form_of(request)
    conversation = request.path_params["conversation"]
    await desk_of(request).take(conversation, account)
    return done(request, link_of(conversation))


async def hand_back(request: Request, account: Account) -> Response:
    """Let the guide go on."""
    await form_of(request)
    conversation = request.path_params["conversation"]
    await desk_of(request).hand_back(conversation, account)
    return done(request, link_of(conversation))


async def speak(request: Request, account: Account) -> Response:
    """Say something to the visitor."""
    form = await form_of(request)
    text = form.get("texte", "")
    if len(text) > door_of(request).settings.longest_message:
        raise Refused(413, "message_trop_long")
    text = lines_of(text)
    if not text:
        raise Refused(400, "message_vide")
    conversation = request.path_params["conversation"]
    await desk_of(request).speak(conversation, account, text, form.get("cle", "")[:64])
    return done(request, link_of(conversation))


def lines_of(text: str) -> str:
    """A text of several lines without control characters."""
    return "\n".join(clean(line) for line in text.splitlines()).strip()


async def typing(request: Request, account: Account) -> Response:
    """The person writes."""
    await form_of(request)
    await desk_of(request).typing(request.path_params["conversation"], account)
    return Response(status_code=204)


async def add_note(request: Request, account: Account) -> Response:
    """Keep a note for colleagues."""
    form = await form_of(request)
    text = lines_of(form.get("texte", "")[: LONGEST_NOTE + 1])
    if not text:
        raise Refused(400, "note_vide")
    if len(text) > LONGEST_NOTE:
        raise Refused(413, "note_trop_longue")
    conversation = request.path_params["conversation"]
    await door_of(request).keep(conversation, followup_of(request).add_note, account.id, text)
    await run_in_threadpool(accounts_of(request).note, account, "note", conversation)
    return done(request, link_of(conversation))


async def note_answer(request: Request, account: Account) -> Response:
    """Note a caller's answer."""
    form = await form_of(request)
    conversation = request.path_params["conversation"]
    await desk_of(request).answer(conversation, account, form.get("slot", ""), form.get("valeur", ""))
    return done(request, f"{link_of(conversation)}/script")


async def add_call_back(request: Request, account: Account) -> Response:
    """A caller asks to be called back, and has agreed to leave a name and a number."""
    form = await form_of(request)
    name, reach, message = (clean(form.get(field, "")) for field in ("nom", "joindre", "message"))
    fault = views.call_back_faults(name, reach, message, agreed=form.get("accord") == "oui")
    if fault:
        # The visitor reads « rappel_… », the staff « appel_… »: the same faults, said to another person.
        raise Refused(400, next(iter(fault.values())).removeprefix("r"))
    conversation = request.path_params["conversation"]
    await door_of(request).add_call_back(conversation, name, reach, message)
    await run_in_threadpool(accounts_of(request).note, account, "rappel", conversation)
    return done(request, f"{link_of(conversation)}/script")


async def set_call_back(request: Request, account: Account) -> Response:
    """What became of a request for a call back."""
    form = await form_of(request)
    state = form.get("etat", "")
    if state not in CALL_BACK_STATES:
        raise Refused(400, "rappel_inconnu")
    number = request.path_params["numero"]
    conversation = await run_in_threadpool(followup_of(request).set_call_back, number, state, account.id)
    if conversation is None:
        raise Refused(404, "rappel_inconnu")
    await run_in_threadpool(accounts_of(request).note, account, "rappel", conversation)
    door_of(request).changed(conversation)
    return done(request, "/console/rappels")


async def erase_call_back(request: Request, account: Account) -> Response:
    """Erase a request for a call back, at the person's request: it may outlive its conversation."""
    await form_of(request)
    conversation = await run_in_threadpool(followup_of(request).erase_call_back, request.path_params["numero"])
    if conversation is None:
        raise Refused(404, "rappel_inconnu")
    await run_in_threadpool(accounts_of(request).note, account, "efface")
    door_of(request).changed(conversation)
    return done(request, "/console/rappels")


async def end_call(request: Request, account: Account) -> Response:
    """The call is over, and what came of it."""
    form = await form_of(request)
    issue = form.get("issue", "")
    if issue not in ISSUES:
        raise Refused(400, "issue_inconnue")
    conversation = request.path_params["conversation"]
    await desk_of(request).close(conversation, account, issue)
    return done(request, link_of(conversation), aller=link_of(conversation))


async def new_code(request: Request, account: Account) -> Response:
    """A code and a link by which a caller goes on on the web."""
    await form_of(request)
    line = await known_line(request)
    conversation = line["conversation"]
    door = door_of(request)
    code = await door.new_code(conversation)
    await run_in_threadpool(accounts_of(request).note, account, "code", conversation)
    link = f"{request.base_url}conversation#bon-moment={code}"
    return JSONResponse({"ok": True, "code": code, "lien": link, "minutes": door.settings.code_lifetime // 60})


async def erase(request: Request, account: Account) -> Response:
    """Erase the conversation everywhere, at the person's request."""
    await form_of(request)
    line = await known_line(request)
    conversation = line["conversation"]
    if line["pris_par"] not in (None, account.id):
        raise Refused(409, "deja_prise", nom=line["preneur"])
    await run_in_threadpool(accounts_of(request).note, account, "efface", conversation)
    await door_of(request).erase(conversation)
    return done(request, "/console", aller="/console")


async def set_meaning(request: Request, account: Account) -> Response:
    """What a message that was not understood meant."""
    meaning = (await form_of(request)).get("sens", "")
    known = {choice["valeur"] for group in dossier.meanings() for choice in group["choix"]}
    if meaning and meaning not in known:
        raise Refused(400, "sens_inconnu")
    number = request.path_params["numero"]
    if not await run_in_threadpool(followup_of(request).set_meaning, number, meaning or None, account.id):
        raise Refused(404, "sens_inconnu")
    await run_in_threadpool(accounts_of(request).note, account, "sens")
    return done(request, "/console/incompris")


async def document(request: Request, account: Account) -> Response:
    """The verdict to send, as a PDF."""
    line = await known_line(request)
    given, _ = await tracker_of(request, line["conversation"])
    if views.summary(given)["verdict"] is None or not line["reference"]:
        raise Refused(409, "pas_de_verdict")
    made = await bilan_to_keep(given, line["reference"])
    await run_in_threadpool(accounts_of(request).note, account, "export", line["conversation"])
    return made


async def gathered(request: Request, account: Account) -> dict[str, Any]:
    """All that is kept of one person, to hand over on request."""
    line = await known_line(request)
    await run_in_threadpool(accounts_of(request).note, account, "export", line["conversation"])
    return await run_in_threadpool(person.everything, door_of(request).records, line["conversation"])


async def export(request: Request, account: Account) -> Response:
    """All that is kept of one person, for programs."""
    kept = await gathered(request, account)
    return attachment(person.as_json(kept), "application/json", person.file_name(kept, "json"))


async def export_to_read(request: Request, account: Account) -> Response:
    """All that is kept of one person, to read."""
    kept = await gathered(request, account)
    page = await run_in_threadpool(person.as_page, kept)
    return attachment(page, "text/html", person.file_name(kept, "html"))


def console_routes() -> list[Route]:
    """The console's addresses. The application's `state.desk` is set once the door is open."""
    of = "/console/c/{conversation}"
    posts: dict[str, Endpoint] = {
        "/console/deconnexion": CONSOLE.sign_out,
        "/console/appel": begin_call,
        f"{of}/prendre": take,
        f"{of}/rendre": hand_back,
        f"{of}/message": speak,
        f"{of}/frappe": typing,
        f"{of}/note": add_note,
        f"{of}/reponse": note_answer,
        f"{of}/rappel": add_call_back,
        f"{of}/rappels/{{numero:int}}": set_call_back,
        f"{of}/issue": end_call,
        f"{of}/code": new_code,
        f"{of}/effacer": erase,
        "/console/incompris/{numero:int}": set_meaning,
        "/console/rappels/{numero:int}": set_call_back,
        "/console/rappels/{numero:int}/effacer": erase_call_back,
    }
    gets: dict[str, Endpoint] = {
        "/console": listing,
        "/console/evenements": events,
        of: conversation_page,
        f"{of}/script": script_page,
        f"{of}/bilan.pdf": document,
        f"{of}/export.json": export,
        f"{of}/export.html": export_to_read,
        "/console/incompris": not_understood_page,
        "/console/rappels": call_backs_page,
        "/console/chiffres": figures_page,
        "/console/chiffres.csv": figures_csv,
        "/console/journal": audit_page,
    }
    return [
        Route("/console/connexion", CONSOLE.sign_in, methods=["GET", "POST"]),
        *(Route(path, CONSOLE.guarded(endpoint), methods=["POST"]) for path, endpoint in posts.items()),
        *(Route(path, CONSOLE.guarded(endpoint), methods=["GET"]) for path, endpoint in gets.items()),
    ]
