#!/bin/sh
# A thin door to raftkv for a fresh clone: needs Python >= 3.11 and nothing else.
# Makes .venv beside this file on first use, installs raftkv into it, and runs the verb.
#   ./cluster.sh up | down | ps | status | logs n1 | kill n1 | restart n1 | clean | --help
#   ./cluster.sh test [--long]               all checks and all tests; with long campaigns
#   ./cluster.sh test [arguments for pytest] only these tests
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
venv=$here/.venv
python=$venv/bin/python

say() { printf 'cluster.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
        if fits "$candidate"; then printf '%s\n' "$candidate"; return; fi
    done
    die "Python 3.11 or newer is needed and none was found (tried python3, python3.11 to python3.14)." \
        "Install one, e.g. 'apt install python3 python3-venv' or from https://www.python.org/downloads/"
}

make_venv() {
    # A folder that was moved or copied holds scripts that still call the old place.
    if fits "$python" && grep -qF "$python" "$venv/bin/pip" 2>/dev/null; then return; fi
    base=$(find_python)
    say "making .venv with $base"
    "$base" -m venv --clear "$venv" >&2 ||
        die "$base could not make a virtual environment (on Debian and Ubuntu: apt install python3-venv)."
}

pip() { # what is done, then pip's arguments; its words are shown only when it fails
    say "$1"; shift
    "$python" -m pip --disable-pip-version-check --no-input install --quiet "$@" \
        >"$venv/install.log" 2>&1 && return
    tail -n 5 "$venv/install.log" >&2
    die "pip could not install it (log: $venv/install.log). Is the package index reachable from here?"
}

# $1 is "run" or "test". A stamp holds the checksum of what was installed, so that this costs nothing
# until pyproject.toml changes.
install() {
    stamp=$venv/.installed-$1
    wanted=$(printf '%s %s' "$(cksum <"$here/pyproject.toml")" "$here")
    if [ -x "$python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    make_venv
    pip "installing raftkv" --editable "$here"
    if [ "$1" = test ]; then
        pip "getting a pip that knows dependency groups" 'pip>=25.1'
        pip "installing the tools of the tests" --group "$here/pyproject.toml:test"
    fi
    printf '%s' "$wanted" >"$stamp"
}

step() { printf '\n$ %s\n' "$*"; "$@"; }

run_tests() {
    cd "$here"
    PATH=$venv/bin:$PATH
    hung=120 # seconds after which a test shows where it is
    if [ "$*" = --long ]; then hung=3600; elif [ $# -gt 0 ]; then exec pytest "$@"; fi
    step ruff check .
    step ruff format --check .
    step mypy
    step lint-imports
    step pytest -o "faulthandler_timeout=$hung" "$@"
}

if [ "${1-}" = test ]; then shift; install test; run_tests "$@"; exit; fi
install run
export RAFTKV_DATA="${RAFTKV_DATA:-$here/.raftkv}" RAFTKV_PROGRAM="${RAFTKV_PROGRAM:-$0}"
exec "$venv/bin/raftkv" "$@"
