#!/bin/sh
# Writes traffic.jsonl: one made-up event for each class of change. No real traffic.
#
#   PATH="$PWD/target/debug:$PATH" simulations/classes/record.sh > simulations/classes/traffic.jsonl
set -eu
policy="$(dirname "$0")/before.toml"
scopes="desk:find desk:read desk:note desk:close desk:pay"

# event ID MINUTE GROUPS CALL..
event() {
    id=$1 minute=$2 groups=$3
    shift 3
    doorward decide --policy "$policy" --issuer corp --sub ana --groups "$groups" --scope "$scopes" \
        --now "2026-03-02T09:$minute:00Z" --format event "$@" | sed "s/^{\"time\":\([0-9]*\),/{\"time\":\1,\"id\":\"$id\",/"
}

echo '{"schema":"doorward.recording/v1","recorder":"doorward decide","note":"made up: one event for each class of change"}'
event still-allowed     00 staff            desk:find
event still-denied      01 guest            desk:find
event newly-denied      02 staff            desk:pay --arg amount=80
event newly-allowed     03 guest            desk:note
event other-reason      04 staff,contractor desk:pay --arg amount=500
event other-rule        05 staff            desk:close
event other-obligations 06 staff            desk:read
# What was paid was too secret to keep.
event undecidable       07 staff            desk:pay --arg amount=80 |
    sed 's/"arguments":{"amount":80}/"arguments":{}/; s/"absent":/"redacted":["\/arguments\/amount"],"absent":/'
# An engine that once allowed what its own policy denies.
event drift             08 guest            desk:find |
    sed 's/"effect":"deny","reason":"no-grant"/"effect":"allow","reason":"granted"/'
