#!/bin/sh
# Writes support-desk.jsonl: a made-up afternoon at the support desk of the example policy, each
# request decided and recorded by doorward itself. No real traffic.
#
#   PATH="$PWD/target/debug:$PATH" simulations/support-desk.sh > simulations/support-desk.jsonl
set -eu
policy="$(dirname "$0")/../policies.toml"
day=2026-03-02

# at TIME WHO.. CALL..
at() {
    time=$1
    shift
    doorward decide --policy "$policy" --now "${day}T$time:00Z" --format event "$@"
}
desk="--issuer corp --agent desk-assistant"
all="tickets:read tickets:reply tickets:refund web:fetch"
ana() { time=$1; shift; at "$time" $desk --sub ana --groups support --scope "$all" "$@"; }
ben() { time=$1; shift; at "$time" $desk --sub ben --groups support --scope "tickets:read tickets:reply" "$@"; }
lea() { time=$1; shift; at "$time" $desk --sub lea --groups support-lead --claim tenant=acme --scope "$all" "$@"; }
kim() { time=$1; shift; at "$time" $desk --sub kim --groups support,contractor --scope "$all" "$@"; }
server() { time=$1; shift; at "$time" --issuer workloads --sub tickets --scope crm:lookup "$@"; }
refund() { printf '{"amount":%s,"currency":"%s","ticket":"%s"}' "$1" "$2" "$3"; }

echo '{"schema":"doorward.recording/v1","recorder":"doorward decide","note":"made up for the example policy: no real traffic"}'

ana 13:00 tickets: --age 1m
ana 13:00 tickets:search --arg query="late parcel" --age 1m
ana 13:01 tickets:get_ticket --arg ticket=T-1041 --age 2m
server 13:01 crm:lookup --arg customer=C-77
ana 13:02 tickets:resource:manuals --uri file:///srv/manuals/returns.md --age 3m
ana 13:03 tickets:reply --arg ticket=T-1041 --arg body="The parcel left today." --age 4m
ana 13:05 tickets:refund --args "$(refund 20 EUR T-1041)"
ben 13:06 tickets: --age 1m
ben 13:06 tickets:prompt:triage --age 1m
ben 13:07 tickets:search --arg query="refund status" --age 2m
ben 13:08 tickets:get_ticket --arg ticket=T-1042 --age 3m
server 13:08 crm:lookup --arg customer=C-81
ben 13:09 tickets:reply --arg ticket=T-1042 --arg body="A colleague will refund you." --age 4m
ben 13:09 tickets:refund --args "$(refund 15 EUR T-1042)"
ana 13:12 tickets:refund --args "$(refund 15 EUR T-1042)"
ana 13:20 tickets:search --arg query="broken screen" --age 2m
ana 13:21 tickets:get_ticket --arg ticket=T-1043 --age 3m
ana 13:22 web:fetch --arg url=https://docs.example.com/warranty --age 4m
ana 13:23 tickets:refund --args "$(refund 240 EUR T-1043)"
lea 13:27 tickets:get_ticket --arg ticket=T-1043 --age 1m
lea 13:28 tickets:refund --args "$(refund 240 EUR T-1043)"
lea 13:40 tickets:refund --args "$(refund 35 USD T-1050)" --age 12m
lea 13:41 tickets:refund --args "$(refund 35 USD T-1050)"
kim 13:45 tickets:search --arg query="wrong size" --age 1m
kim 13:46 tickets:get_ticket --arg ticket=T-1051 --age 2m
kim 13:47 tickets:refund --args "$(refund 12 EUR T-1051)"
kim 13:48 tickets:reply --arg ticket=T-1051 --arg body="A colleague will refund you." --age 4m
ana 13:52 tickets:refund --args "$(refund 12 EUR T-1051)"
at 14:05 --issuer corp --agent some-plugin --sub ana --groups support --scope "$all" tickets:search --arg query="*"
at 14:05 --issuer corp --agent some-plugin --sub ana --groups support --scope "$all" crm:lookup --arg customer=C-77
ana 14:10 web:fetch --arg url=https://docs.example.com@203.0.113.7/warranty --age 1m
ana 14:12 tickets:get_ticket --arg ticket=T-1060 --age 20m
ana 14:13 tickets:get_ticket --arg ticket=T-1060
ana 14:14 tickets:refund --args "$(refund 50 EUR T-1060)"
ben 14:20 tickets:search --arg query="invoice" --age 3m
ben 14:21 tickets:reply --arg ticket=T-1061 --arg body="Sent by mail." --age 4m
