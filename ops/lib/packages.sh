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

# if_full FOLDER...: the end of an error message, when one of them has less than 100 MB left.
if_full() {
    local folder free
    for folder in "$@"; do
        free=$(df -k --output=avail "$folder" 2>/dev/null | tail -n 1)
        if [ -n "$free" ] && [ "$free" -lt 102400 ]; then
            printf '; no space is left in %s: free some and start again' "$folder"
            return
        fi
    done
}

# why_apt_failed LOG: in one line, what to do about it.
why_apt_failed() {
    if grep -qE "No space left|enough free space" "$1"; then
        echo "no space is left for them: free some in /var and /usr and start again"
    elif grep -qE "failure resolving|not resolve|Could not connect|Cannot initiate|Connection (timed|refused|failed)|unreachable" "$1"; then
        echo "their server cannot be reached: check the network, or /etc/apt/sources.list"
    elif grep -q "but remove is disabled" "$1"; then
        echo "others stand in their way; see them with: apt-get install --dry-run $missing"
    else
        grep '^E: ' "$1" | tail -n 1
    fi
}

# install_packages [FILE...]: installs what is missing of the lists, by default of ops/packages.
# Refuses to remove anything (libboost1.81-dev conflicts with the headers of 1.74, for example):
# that decision is the owner's of the machine.
install_packages() {
    local missing log
    [ $# -gt 0 ] || set -- "$root/ops/packages"
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    echo "Packages to install: $missing"
    [ "$(id -u)" = 0 ] || die "these packages are missing; run as root, or: apt-get install $missing"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    # An update that reaches no server still succeeds, so both logs are looked at together.
    # shellcheck disable=SC2086
    apt-get update -q >"$log" 2>&1 &&
        apt-get install -y -q --no-install-recommends --no-remove $missing >>"$log" 2>&1 ||
        die "apt-get could not install the packages: $(why_apt_failed "$log") (its words: $log)"
    rm -f "$log"
}
