#!/usr/bin/env bash
# Brings Debian's Chromium for the tests that open a report in a browser, where that is possible:
# as root, with apt-get. Elsewhere it says that those tests are left out. Never fails.
set -uo pipefail

for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done

leave_out() {
    echo "chromium: $1; the browser tests (tests/browser) are left out."
    exit 0
}

command -v apt-get >/dev/null || leave_out "not found and no apt-get here"
[ "$(id -u)" -eq 0 ] || leave_out "not found and not root (apt-get install chromium)"

echo "chromium: installing from Debian's packages ..."
log="$(mktemp)"
export DEBIAN_FRONTEND=noninteractive
patience=(-o Acquire::Retries=2 -o Acquire::http::Timeout=60)
if ! { apt-get "${patience[@]}" update -qq &&
    apt-get "${patience[@]}" install -y -qq --no-install-recommends chromium; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 3 "$log"
    leave_out "could not be installed (log: $log)"
fi
rm -f "$log"
