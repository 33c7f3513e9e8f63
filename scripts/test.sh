#!/usr/bin/env bash
# All the checks, in the order in which they fail fastest. Called by `make test` and by `.ci/run`.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python

step() { printf '\n── %s\n' "$1"; }

step "Style et types (ruff, mypy)"
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy

step "Cohérence de l'assistant"
$python -m scripts.check_assistant

step "Validation par Rasa (avertissements comptés comme des fautes)"
# Rasa does not see the responses that actions use; our own check, above, does.
mkdir -p var
validation=var/validation.log
ACTIONS_URL=http://127.0.0.1:5055/webhook DATABASE_URL=sqlite:// REDIS_URL= PYTHONWARNINGS="ignore::DeprecationWarning" \
    .venv/bin/rasa data validate --fail-on-warnings >"$validation" 2>&1 || { tail -n 30 "$validation"; exit 1; }
if grep -E "UserWarning: (The (intent|action|form|slot)|There is|Issue found|Duplicate)" "$validation"; then exit 1; fi
echo "Aucun avertissement."

step "Entraînement"
$python -m scripts.train
if grep -E "(User|Future|Runtime)Warning" var/entrainement.log | grep -v "The utterance"; then
    echo "L'entraînement a donné des avertissements."
    exit 1
fi

if ! command -v chromium >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    step "Installation de Chromium pour les essais dans la page"
    (apt-get update -qq && apt-get install -y -qq chromium) >var/chromium.log 2>&1 || tail -n 3 var/chromium.log
fi

if ! command -v initdb >/dev/null && ! compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null &&
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    step "Installation de PostgreSQL pour les essais de la base de données"
    (apt-get update -qq && apt-get install -y -qq postgresql) >var/postgresql.log 2>&1 || tail -n 3 var/postgresql.log
fi

for program in nginx redis-server rabbitmq-server; do
    if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        step "Installation de $program pour les essais à plusieurs"
        (apt-get update -qq && apt-get install -y -qq --no-install-recommends "$program") >"var/$program.log" 2>&1 ||
            tail -n 3 "var/$program.log"
    fi
done

step "Tests"
report=var/tests.txt
$python -m pytest "$@" 2>&1 | tee "$report"
absent=
missed() { if grep -q "$1" "$report"; then echo "$2"; absent=1; fi; }
missed "AUCUN NAVIGATEUR" "Les essais dans la page n'ont PAS eu lieu : aucun navigateur trouvé (installez Chromium)."
missed "AUCUN POSTGRESQL" "Les essais sur PostgreSQL n'ont PAS eu lieu : aucun PostgreSQL trouvé (installez le paquet postgresql)."
missed "AUCUN NGINX, REDIS OU POSTGRESQL" "Les essais à plusieurs n'ont PAS eu lieu : il manque nginx, redis-server ou postgresql."
missed "AUCUN RABBITMQ" "L'essai de l'envoi des événements n'a PAS eu lieu : aucun RabbitMQ trouvé (installez le paquet rabbitmq-server)."
[ -z "$absent" ] || [ -z "${CI:-}" ] || exit 1
