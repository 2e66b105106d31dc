-- The audit log. Instants are microseconds since 1970 UTC; `datetime(at / 1000000, 'unixepoch')` shows one.
create table audit_log (
    class    text    not null,
    written  integer not null,
    writer   text    not null,
    seq      integer not null,
    at       integer not null,
    kind     text    not null,
    agent    text,
    decision text,
    door     text,
    issuer   text,
    method   text,
    name     text,
    policy   text,
    reason   text,
    request  text,
    rule     text,
    session  text,
    subject  text,
    trace    text,
    status   integer,
    latency  integer,
    data     text    not null check (json_valid(data)),
    prev     blob    not null check (length(prev) = 32),
    hash     blob    not null check (length(hash) = 32)
) strict;

-- One row in each place: what is written again after a doubt is not there twice.
create unique index audit_log_place on audit_log (class, writer, seq);
create index audit_log_at on audit_log (at);

create trigger audit_log_no_update before update on audit_log begin
    select raise(abort, 'rows of audit_log are never changed');
end;
create trigger audit_log_no_delete before delete on audit_log begin
    select raise(abort, 'rows of audit_log are deleted by `doorward audit prune` alone');
end;
-- `replace` fires no trigger of a deletion: a place that is taken stays as it is.
create trigger audit_log_no_replace before insert on audit_log
    when exists (select 1 from audit_log where class = new.class and writer = new.writer and seq = new.seq) begin
    select raise(ignore);
end;
