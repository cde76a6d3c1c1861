# Shell functions: which packages are missing, and installing them without removing anything.
# Sourced by ops/quickstart and ops/test; expects `root` to hold the repository's path.

# missing_packages FILE...: prints the packages listed in the files that are not installed, on one line.
missing_packages() {
    local package
    cat -- "$@" | while read -r package; do
        case "$package" in '' | '#'*) continue ;; esac
        if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$'; then
            printf '%s ' "$package"
        fi
    done
}

# die MESSAGE: one clear line on stderr, exit 1.
die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

# install_packages [FILE...]: installs what is missing of the lists, by default of ops/packages. Refuses to remove anything (libboost1.81-dev conflicts
# with the headers of 1.74, for example): that decision is the owner's of the machine.
install_packages() {
    local missing log
    [ $# -gt 0 ] || set -- "$root/ops/packages"
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    echo "Packages to install: $missing"
    [ "$(id -u)" = 0 ] || die "these packages are missing; run as root, or: apt-get install $missing"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >"$log" 2>&1 || die "apt-get update failed (no network?): $(tail -n 1 "$log")"
    # shellcheck disable=SC2086
    if ! apt-get install -y -q --no-install-recommends --no-remove $missing >"$log" 2>&1; then
        grep -E '^E: |^The following packages will be REMOVED|^  ' "$log" | tail -n 5 >&2
        die "apt-get could not install the packages without removing others; see above"
    fi
    rm -f "$log"
}
