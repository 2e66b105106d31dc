-- The audit log, partitioned by audit class, and each class by the month in which a row was written.
create table audit_log (
    class    text        not null,
    written  timestamptz not null,
    writer   text        not null,
    seq      bigint      not null,
    at       timestamptz not null,
    kind     text        not null,
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
    latency  bigint,
    data     jsonb       not null,
    prev     bytea       not null check (length(prev) = 32),
    hash     bytea       not null check (length(hash) = 32),
    -- One row in each place: what is written again after a doubt is not there twice.
    primary key (class, writer, seq, written)
) partition by list (class);

-- Rows come in the order of their times, so a block range index finds a time for next to nothing.
create index audit_log_at on audit_log using brin (at, written);

create function audit_log_keep() returns trigger language plpgsql as $$
begin
    raise exception 'rows of audit_log are never changed, and deleted by `doorward audit prune` alone'
        using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_log_keep before update or delete on audit_log
    for each row execute function audit_log_keep();

-- The partition of a class and a month, made if it is not there. It runs with the rights of the owner
-- of the table, so that whoever may only insert gets the partitions that are needed.
create function audit_log_partition(wanted text, month timestamptz) returns void
    language plpgsql security definer set search_path from current as $$
declare
    starts timestamptz := date_trunc('month', month, 'UTC');
    ends   timestamptz := date_trunc('month', starts + interval '1 month 1 day', 'UTC');
    -- A name may have 63 bytes, and a class 200.
    parent text := 'audit_log_' || left(regexp_replace(lower(wanted), '[^a-z0-9]+', '_', 'g'), 20) || '_' || left(md5(wanted), 8);
    child  text := parent || '_' || to_char(starts at time zone 'UTC', 'YYYY_MM');
begin
    if to_regclass(child) is not null then
        return;
    end if;
    -- Whoever waits here finds made what it waited for, which only a question to the catalog sees.
    perform pg_advisory_xact_lock(hashtext('audit_log_partition'));
    if not exists (select from pg_inherits where inhparent = 'audit_log'::regclass and inhrelid::regclass::text = format('%I', parent)) then
        execute format('create table %I partition of audit_log for values in (%L) partition by range (written)', parent, wanted);
    end if;
    if not exists (select from pg_inherits where inhparent = parent::regclass and inhrelid::regclass::text = format('%I', child)) then
        execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent, starts, ends);
        execute format('create trigger audit_log_no_truncate before truncate on %I execute function audit_log_keep()', child);
    end if;
end
$$;
revoke all on function audit_log_partition(text, timestamptz) from public;

-- The rights of a gateway: to insert and to read. Whoever may not create roles grants the same by hand.
do $$
begin
    if not exists (select from pg_roles where rolname = 'doorward_writer') then
        begin
            create role doorward_writer nologin;
        exception when insufficient_privilege or duplicate_object or unique_violation then
            null;
        end;
    end if;
    if exists (select from pg_roles where rolname = 'doorward_writer') then
        grant select, insert on audit_log to doorward_writer;
        grant select on audit_log_migrations to doorward_writer;
        grant execute on function audit_log_partition(text, timestamptz) to doorward_writer;
    end if;
end
$$;
