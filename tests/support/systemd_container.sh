#!/usr/bin/env bash
# A host run by systemd, for tests: this host's files under a layer in memory, with processes, network
# and mounts of its own, so that nothing of it outlives its first process. Of tests/system/systemd_test.py.
# Usage: systemd_container.sh CGROUP FOLDER BOUND...: CGROUP is a cgroup2 of the test's own, FOLDER an
# empty one; each BOUND folder is seen where it is here.
set -euo pipefail

# Inside the namespaces.
if [ "${1:-}" = --inside ]; then
    shift
    folder=$1 && shift
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$folder"
    mkdir "$folder/upper" "$folder/work" "$folder/root"
    new=$folder/root
    mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$new"
    mount -t proc proc "$new/proc"
    mount -t sysfs -o ro sysfs "$new/sys" 2>/dev/null || mount --bind /sys "$new/sys"
    mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$new/dev"
    for device in null zero full random urandom tty; do
        touch "$new/dev/$device"
        mount --bind "/dev/$device" "$new/dev/$device"
    done
    mkdir "$new/dev/pts" "$new/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$new/dev/pts"
    ln -s pts/ptmx "$new/dev/ptmx"
    mount -t tmpfs tmpfs "$new/dev/shm"
    mount -t tmpfs -o mode=755 tmpfs "$new/run"
    mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
    for bound in "$@"; do
        mkdir -p "$new$bound"
        mount --rbind "$bound" "$new$bound"
    done
    ip link set lo up
    hostname turnpike-test
    # As systemd finds it where it is first: credentials are mounted by children of its.
    mount --make-rshared "$new"
    exec chroot "$new" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=turnpike-test \
        /usr/lib/systemd/systemd --unit=basic.target
fi

cgroup=$1
shift
echo $$ >"$cgroup/cgroup.procs"
exec unshare --fork --kill-child=KILL --pid --mount-proc --mount --uts --ipc --net --cgroup "$0" --inside "$@"
