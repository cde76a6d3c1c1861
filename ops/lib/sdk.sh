# Shell functions: the virtual environment with the public SDKs that a system test runs.
# Sourced by ops/test; expects root, and die of packages.sh.

# make_sdk_venv: makes build/venv-sdk anew when its requirements, its place or Python changed.
make_sdk_venv() {
    local venv="$root/build/venv-sdk" log="$root/build/venv-sdk.log"
    local requirements="$root/tests/system/sdk-requirements.txt" wanted
    wanted=$({ python3 --version && echo "$venv" && cat "$requirements"; } | sha256sum)
    [ "$(cat "$venv/made-from" 2>/dev/null)" != "$wanted" ] || return 0
    rm -rf "$venv"
    mkdir -p "$root/build"
    python3 -m venv "$venv" >"$log" 2>&1 || die "python3 -m venv failed: $(tail -n 1 "$log")"
    if ! "$venv/bin/pip" install -q --disable-pip-version-check --retries 2 -r "$requirements" \
        >>"$log" 2>&1; then
        if grep -qE 'NewConnectionError|NameResolutionError|Timeout|ProxyError|Max retries' "$log"; then
            die "PyPI cannot be reached, and the SDK test needs packages of it: connect, or set PIP_INDEX_URL"
        fi
        die "pip could not install the SDKs: $(grep '^ERROR' "$log" | tail -n 1) (see $log)"
    fi
    # Goes last: it is what says that the rest is there.
    echo "$wanted" >"$venv/made-from"
}
