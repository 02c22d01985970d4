#!/bin/sh
# Makes the virtual environment that every make target runs in, or leaves it alone when nothing changed.
#   tools/venv.sh DIRECTORY EXTRAS        e.g. tools/venv.sh .venv dev,operator
# PYTHON names the interpreter to build it with; otherwise the first one that is new enough and can make environments.
# "Nothing changed" is: the same pyproject.toml, extras and interpreter.
set -eu
venv=$1
extras=$2

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "No Python found that is 3.11 or newer and has venv. On Debian and Ubuntu: apt-get install python3 python3-venv;" \
         "or name one: make PYTHON=/path/to/python3" >&2
    return 1
}

python=$(find_python)
version=$("$python" -c 'import sys; print(sys.version.split()[0], sys.base_prefix)')
wanted="$version
$extras
$(cksum <pyproject.toml)
$(pwd)"

if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/ready" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
if [ -x "$venv/bin/python" ] && [ "$(head -n 1 "$venv/ready" 2>/dev/null)" != "$version" ]; then
    rm -rf "$venv"
fi

echo "Setting up $venv with Python $version (about a minute; only when pyproject.toml changes) ..." >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
log=$venv/set-up.log
rm -f "$venv/ready"
# A line every few packages says that it is alive; the whole output is in the log.
if ! { "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --editable ".[$extras]" 2>&1 || echo "set-up failed"; } |
    tee "$log" |
    awk '/^ *Collecting/ { if (++n % 20 == 0) print "  " n " packages looked up"; fflush() }
         /^Installing collected/ { if (n) print "  installing"; fflush() }
         /^set-up failed/ { failed = 1 }
         END { exit failed }' >&2
then
    tail -n 20 "$log" >&2
    echo "Set-up failed; all of pip's output is in $log" >&2
    exit 1
fi
printf '%s\n' "$wanted" >"$venv/ready"
echo "  ready" >&2
