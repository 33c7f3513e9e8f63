# Les commandes de Bon Moment. `make` seul les liste.
SHELL := /bin/bash
PYTHON := .venv/bin/python
# Rien n'est envoyé ailleurs : ni mesures d'usage, ni rapports d'erreur.
export RASA_TELEMETRY_ENABLED := false
export SQLALCHEMY_SILENCE_UBER_WARNING := 1
export TF_CPP_MIN_LOG_LEVEL := 3
export PYTHONPATH := $(CURDIR)

.DEFAULT_GOAL := aide
.PHONY: aide run atelier foule topologie charge test train shell lint bench evaluate incompris exemples compte purge export effacer sauvegarde sauvegardes restaurer modeles modele-precedent

aide: ## liste les commandes
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-17s %s\n", $$1, $$2}'

.venv/installed: uv.lock pyproject.toml .python-version
	@echo "Installation de l'environnement (une seule fois, quelques minutes) …"
	@scripts/uv.sh sync --frozen --quiet
	@touch $@

run: .venv/installed ## installe, entraîne si besoin, démarre tout et affiche les adresses
	@$(PYTHON) -m scripts.run

atelier: .venv/installed ## en salle : le guide sous le capot, et les téléphones des participants (sans Internet)
	@$(PYTHON) -m scripts.run --atelier

foule: .venv/installed ## répéter un atelier avec des téléphones simulés : CODE=HAR47 NOMBRE=50
	@$(PYTHON) -m scripts.crowd --code "$(CODE)" $(if $(NOMBRE),--nombre $(NOMBRE))

topologie: .venv/installed ## à plusieurs derrière nginx, sur cette machine, pour essayer : PORTES=2 RASA=2 ACTIONS=2
	@$(PYTHON) -m scripts.topology $(if $(PORTES),--porte $(PORTES)) $(if $(RASA),--rasa $(RASA)) $(if $(ACTIONS),--actions $(ACTIONS))

charge: .venv/installed ## des visiteurs simulés, par la porte : VISITEURS=16 DUREE=60 PAUSE=0
	@$(PYTHON) -m scripts.load $(if $(VISITEURS),--visiteurs $(VISITEURS)) $(if $(DUREE),--duree $(DUREE)) $(if $(PAUSE),--pause $(PAUSE))

test: .venv/installed ## toutes les vérifications et tous les tests
	@scripts/test.sh

train: .venv/installed ## entraîne le modèle si les données ont changé
	@$(PYTHON) -m scripts.train

shell: .venv/installed ## parler avec le guide dans le terminal
	@$(PYTHON) -m scripts.run --terminal

lint: .venv/installed ## vérifie le code et les textes, sans entraîner
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && $(PYTHON) -m scripts.check_assistant

bench: .venv/installed ## mesure le guide à côté de la chaîne usuelle de Rasa (TOURS=1 RAPIDE=oui : plus vite ; ENTRAINER=oui : réapprend les deux)
	@$(PYTHON) -m scripts.bench $(if $(TOURS),--tours $(TOURS)) $(if $(RAPIDE),--rapide) $(if $(ENTRAINER),--entrainer)

evaluate: .venv/installed ## mesure ce qui est compris, à côté de la chaîne usuelle de Rasa (TOURS=8 : plus vite)
	@$(PYTHON) -m scripts.evaluate $(if $(TOURS),--tours $(TOURS))

incompris: .venv/installed ## liste les messages non compris, en tableau (CSV)
	@$(PYTHON) -m scripts.incompris

exemples: .venv/installed ## ce que l'équipe a dit des messages non compris, en exemples à relire (YAML)
	@$(PYTHON) -m scripts.exemples

compte: .venv/installed ## un compte de la console : IDENTIFIANT=lea NOM="Léa Martin" ROLE=conseiller ; MOT_DE_PASSE=oui en donne un nouveau, FERMER=oui le ferme
	@$(PYTHON) -m scripts.compte $(if $(IDENTIFIANT),--identifiant "$(IDENTIFIANT)") $(if $(NOM),--nom "$(NOM)") $(if $(ROLE),--role "$(ROLE)") $(if $(MOT_DE_PASSE),--mot-de-passe) $(if $(FERMER),--fermer)

export: .venv/installed ## tout ce qui est gardé d'une personne, à lui remettre : QUI="HA7R-3W4J", un nom, un téléphone, une adresse
	@$(PYTHON) -m scripts.personne exporter --qui "$(or $(REFERENCE),$(QUI))"

effacer: .venv/installed ## efface tout ce qui est gardé d'une personne : QUI="HA7R-3W4J", un nom, un téléphone, une adresse
	@$(PYTHON) -m scripts.personne effacer --qui "$(or $(REFERENCE),$(QUI))" $(if $(OUI),--oui)

sauvegarde: .venv/installed ## sauvegarde la base et les secrets, pendant la marche
	@$(PYTHON) -m scripts.sauvegarde faire

sauvegardes: .venv/installed ## liste les sauvegardes
	@$(PYTHON) -m scripts.sauvegarde lister

restaurer: .venv/installed ## remet la dernière sauvegarde, ou NOM=2026-11-28-210000 ; Bon Moment doit être arrêté
	@$(PYTHON) -m scripts.sauvegarde restaurer $(if $(NOM),--nom "$(NOM)") $(if $(OUI),--oui)

modeles: .venv/installed ## liste les modèles gardés
	@$(PYTHON) -m scripts.models

modele-precedent: .venv/installed ## remet l'ancien modèle, ou celui de NOM=3f2a91c0
	@$(PYTHON) -m scripts.models --remettre $(if $(NOM),--nom "$(NOM)")

purge: .venv/installed ## efface les conversations plus vieilles que la durée de conservation
	@$(PYTHON) -m scripts.purge
