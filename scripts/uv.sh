#!/usr/bin/env bash
# Find uv, or bring it into .outils/, then run it: `scripts/uv.sh sync`. Messages in French for who installs.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v git >/dev/null; then echo "Il manque git." >&2; exit 1; fi

works() { "$1" --version >/dev/null 2>&1; }

find_uv() {
    for candidate in uv .outils/bin/uv "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv"; do
        if command -v "$candidate" >/dev/null && works "$candidate"; then command -v "$candidate"; return; fi
    done
    # A pyenv with .python-version hides the programs of other versions: any Python 3 makes a folder of our own.
    for python in python3 python /usr/bin/python3 "$HOME"/.pyenv/versions/*/bin/python3; do
        command -v "$python" >/dev/null || continue
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || continue
        echo "Première installation : j'apporte l'outil « uv » dans .outils/ …" >&2
        if "$python" -m venv .outils >&2 && .outils/bin/python -m pip install --quiet uv >&2; then
            echo "$PWD/.outils/bin/uv"; return
        fi
        rm -rf .outils
    done
    echo "Je n'ai pas pu installer l'outil « uv » : il faut un Python 3.8 ou plus récent (avec venv et pip) et un accès à Internet." >&2
    return 1
}

uv=$(find_uv) || exit 1

# Python 3.10: one that is there (uv, pyenv, system), else uv or pyenv brings it.
if ! "$uv" python find --quiet 3.10 >/dev/null 2>&1; then
    echo "Python 3.10 manque : je l'installe …" >&2
    if ! "$uv" python install --quiet 3.10 2>/dev/null; then
        if ! { command -v pyenv >/dev/null && pyenv install --skip-existing 3.10 >&2; }; then
            echo "Python 3.10 est introuvable et n'a pas pu être installé. Installez-le (par pyenv ou votre système), puis recommencez." >&2
            exit 1
        fi
    fi
fi
exec "$uv" "$@"
