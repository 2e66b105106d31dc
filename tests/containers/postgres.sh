#!/bin/sh
# The entry point of the PostgreSQL image of the tests: makes the cluster if there is none, then serves.
# A cluster for tests on the loopback interface: user `postgres`, password `postgres`.
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo postgres >/tmp/password
    initdb -N -U postgres -E UTF8 --locale=C --auth-local=trust --auth-host=scram-sha-256 --pwfile=/tmp/password >/dev/null 2>&1
    rm -f /tmp/password
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
fi
[ "$1" = init ] && exit 0
[ "$1" = postgres ] && shift
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
