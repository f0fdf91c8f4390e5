#!/bin/sh
# Starts systemd as process 1 of namespaces of its own: see systemd_namespace.ts. With a terminal as
# its standard input, since systemd writes only to one.
set -e
if [ "$1" != inside ]; then
  echo $$ >"$1/cgroup.procs"
  shift
  exec unshare --mount --pid --fork --kill-child --cgroup --ipc --uts sh "$0" inside "$(tty)" "$@"
fi
terminal=$2 files=$3 deno=$4
# All that systemd or a unit may change is new; the rest can't be written to.
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/new/dev /run/new/srv /run/new/bin /run/lock
mount -t tmpfs -o mode=755 tmpfs /run/new/dev
for name in null zero full random urandom tty; do
  : >"/run/new/dev/$name"
  mount --bind "/dev/$name" "/run/new/dev/$name"
done
: >/run/new/dev/console
mount --bind "$terminal" /run/new/dev/console
mkdir /run/new/dev/shm /run/new/dev/pts /run/new/dev/mqueue
ln -s /proc/self/fd /run/new/dev/fd
ln -s pts/ptmx /run/new/dev/ptmx
mount -t devpts devpts /run/new/dev/pts
cp "$deno" /run/new/bin/deno
chmod 755 /run/new/bin/deno
mount --bind "$files/srv" /srv
mount --bind "$files/units" /etc/systemd/system
mount --bind /run/new/bin /usr/local/bin
mount --move /run/new/dev /dev
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -o remount,bind,ro /
exec env -i container=other SYSTEMD_UNIT_PATH=/etc/systemd/system PATH=/usr/local/bin:/usr/bin:/bin /lib/systemd/systemd --system \
  --unit=test.target --log-target=console --log-level=info --show-status=no
