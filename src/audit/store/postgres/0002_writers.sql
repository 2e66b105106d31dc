-- The seals that begin and end writers, by time: who opens asks for the latest of them, and they are never removed.
create index audit_log_writers on audit_log (kind, written) where class = '.log';

-- As before, within bounds: whoever may only insert makes no partition that no clock or policy asks for.
create or replace function audit_log_partition(wanted text, month timestamptz) returns void
    language plpgsql security definer as $$
declare
    starts timestamptz := date_trunc('month', month, 'UTC');
    ends   timestamptz := date_trunc('month', starts + interval '1 month 1 day', 'UTC');
    -- A name may have 63 bytes, and a class 200.
    parent text := 'audit_log_' || left(regexp_replace(lower(wanted), '[^a-z0-9]+', '_', 'g'), 20) || '_' || left(md5(wanted), 8);
    child  text := parent || '_' || to_char(starts at time zone 'UTC', 'YYYY_MM');
begin
    if wanted is null or wanted = '' or octet_length(wanted) > 200 then
        raise exception 'the name of a class has 1 to 200 bytes' using errcode = 'invalid_parameter_value';
    end if;
    if month is null or month < '2020-01-01' or month > now() + interval '3 years' then
        raise exception 'rows are written from 2020 on, and not three years ahead: the clock is wrong'
            using errcode = 'invalid_parameter_value';
    end if;
    if to_regclass(child) is not null then
        return;
    end if;
    -- Whoever waits here finds made what it waited for, which only a question to the catalog sees.
    perform pg_advisory_xact_lock(hashtext('audit_log_partition'));
    if not exists (select from pg_inherits where inhparent = 'audit_log'::regclass and inhrelid::regclass::text = format('%I', parent)) then
        if (select count(*) from pg_inherits where inhparent = 'audit_log'::regclass) >= 256 then
            raise exception 'a log has at most 256 classes' using errcode = 'program_limit_exceeded';
        end if;
        execute format('create table %I partition of audit_log for values in (%L) partition by range (written)', parent, wanted);
    end if;
    if not exists (select from pg_inherits where inhparent = parent::regclass and inhrelid::regclass::text = format('%I', child)) then
        execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent, starts, ends);
        execute format('create trigger audit_log_no_truncate before truncate on %I execute function audit_log_keep()', child);
    end if;
end
$$;

-- What it names is what the owner made, whatever a session has in its path or among its temporary tables.
do $$
declare
    home text := (select nspname from pg_namespace join pg_class on relnamespace = pg_namespace.oid where pg_class.oid = 'audit_log'::regclass);
begin
    execute format('alter function audit_log_partition(text, timestamptz) set search_path = %I, pg_temp', home);
end
$$;
