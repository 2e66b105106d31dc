"""The rehearsal of `rehearse.rs` as SQL: a table of slots, joined on server and tool.

Verdicts only. Called with the directory in which `real.jsonl`, `real.parquet` and the slots of both
policies are; answers with one JSON object.
"""

import json
import pathlib
import sys
import time

import duckdb

place = pathlib.Path(sys.argv[1])
db = duckdb.connect(config={"threads": 2})
for at in (0, 1):
    slots = json.loads((place / f"slots-{at}.json").read_text())
    for name in ("tools", "rules"):
        rows = place / f"{name}-{at}.json"
        rows.write_text("\n".join(json.dumps(row) for row in slots[name]))
        columns = {
            "tools": "{server:'VARCHAR',tool:'VARCHAR',audience:'VARCHAR',issuers:'VARCHAR[]',scopes:'VARCHAR[]',ttl:'BIGINT'}",
            "rules": "{kind:'VARCHAR',server:'VARCHAR',tool:'VARCHAR',groups:'VARCHAR[]',max:'BIGINT',min:'BIGINT',prefix:'VARCHAR'}",
        }[name]
        db.execute(
            f"create table {name}{at} as select * from "
            f"read_json('{rows}', format='newline_delimited', columns={columns})"
        )

FORMS = {
    # The header is the line without a time.
    "jsonl": f"""select row_number() over () as number, time, door, name, arguments.amount as amount,
        arguments.path as path, subject.issuer as issuer, subject.groups as groups, token.aud as aud,
        token.scopes as scopes, token.iat as iat, token.exp as exp
      from read_json('{place / "real.jsonl"}', format='newline_delimited', maximum_object_size=8388608,
        columns={{time:'BIGINT',door:'VARCHAR',name:'VARCHAR',
        arguments:'STRUCT(amount BIGINT, path VARCHAR)',
        subject:'STRUCT(issuer VARCHAR, groups VARCHAR[])',
        token:'STRUCT(aud VARCHAR[], scopes VARCHAR[], iat BIGINT, exp BIGINT)'}})
      where time is not null""",
    "parquet": f"""select row_number() over () as number, time, door, name,
        (arguments->>'amount')::BIGINT as amount, arguments->>'path' as path, subject->>'issuer' as issuer,
        from_json(subject->'groups', '["VARCHAR"]') as groups, from_json(token->'aud', '["VARCHAR"]') as aud,
        from_json(token->'scopes', '["VARCHAR"]') as scopes, iat, exp
      from read_parquet('{place / "real.parquet"}')""",
}


def allowed(at):
    """The numbers of the events that a policy allows."""
    covers = """list_has_any(e.groups, r.groups) and (r.max is null or e.amount <= r.max)
        and (r.min is null or e.amount >= r.min) and (r.prefix is null or starts_with(e.path, r.prefix))"""
    return f"""select distinct e.number from e
      join tools{at} t on t.server = e.door and t.tool = e.name
      join rules{at} r on r.server = e.door and r.tool = e.name
      where r.kind = 'grant' and {covers} and list_contains(t.issuers, e.issuer) and list_contains(e.aud, t.audience)
        and e.time < e.exp and e.iat <= e.time + 30 and e.exp - e.iat <= 3600 and e.time < e.iat + t.ttl
        and list_has_any(e.scopes, t.scopes)
        and not exists (select 1 from rules{at} r where r.kind = 'deny' and r.server = e.door and r.tool = e.name
          and {covers})"""


answer = {"version": duckdb.__version__}
for form, events in FORMS.items():
    start = time.perf_counter()
    found = db.execute(
        f"""with e as materialized ({events}), before as ({allowed(0)}), now as ({allowed(1)})
        select count(*) filter (n.number is not null), count(*) filter (n.number is null),
          count(*) filter (b.number is not null and n.number is null),
          count(*) filter (b.number is null and n.number is not null)
        from e left join before b on b.number = e.number left join now n on n.number = e.number"""
    ).fetchone()
    answer[form] = time.perf_counter() - start
    counts = dict(zip(("allowed", "denied", "newly_denied", "newly_allowed"), found))
    if any(answer.get(name, count) != count for name, count in counts.items()):
        sys.exit(f"{form} counts {counts}, the form before {answer}")
    answer.update(counts)
print(json.dumps(answer))
