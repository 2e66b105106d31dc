-- The counts of rates across gateways: one row for each thing that is counted apart, which its next window takes over.
create table audit_rates (
    lane  bytea  not null primary key check (length(lane) = 32),
    -- When the window ends, in seconds since 1970.
    ends  bigint not null,
    count bigint not null check (count > 0)
) with (fillfactor = 70);

-- What is over is found and removed by those who count.
create index audit_rates_ends on audit_rates (ends);

-- Counts calls at an instant, in microseconds since 1970. Windows are aligned to 1970-01-01T00:00:00Z. A count goes on until
-- its window is over, whoever says how long that is: so it does where the clock goes back.
create function audit_rates_count_at(now bigint, lanes bytea[], seconds integer[], calls integer[])
    returns table (lane bytea, counted bigint, rest bigint) language plpgsql as $$
#variable_conflict use_column
begin
    if cardinality(lanes) > 4096 or cardinality(lanes) <> cardinality(seconds) or cardinality(lanes) <> cardinality(calls)
        or exists (select from unnest(seconds) s where s is null or s not between 1 and 86400)
        or exists (select from unnest(calls) c where c is null or c not between 1 and 65536) then
        raise exception 'each lane has windows of 1 to 86400 seconds and 1 to 65536 calls'
            using errcode = 'invalid_parameter_value';
    end if;
    -- In one order for all, so that no two wait for each other.
    return query
    insert into audit_rates as r (lane, ends, count)
    select w.lane, (now / 1000000 / w.seconds + 1) * w.seconds, w.calls
    from unnest(lanes, seconds, calls) as w(lane, seconds, calls)
    order by w.lane
    on conflict on constraint audit_rates_pkey do update set
        count = case when r.ends > now / 1000000 then r.count + excluded.count else excluded.count end,
        ends = greatest(r.ends, excluded.ends)
    returning r.lane, r.count, r.ends * 1000000 - now;
    -- More than comes in, so that what is over does not pile up; what somebody counts in right now is not waited for. What
    -- was over within the hour stays, should the clock go back.
    delete from audit_rates where lane = any (array(
        select old.lane from audit_rates old where old.ends <= now / 1000000 - 3600
        order by old.ends limit 2 * cardinality(lanes) for update skip locked));
end
$$;

-- Counts calls now, by the clock of this server. It runs with the rights of the owner of the table: whoever may call it can
-- count, and can neither read, lower nor remove a count.
create function audit_rates_count(lanes bytea[], seconds integer[], calls integer[])
    returns table (lane bytea, counted bigint, rest bigint) language sql security definer as $$
    select * from audit_rates_count_at((extract(epoch from clock_timestamp()) * 1000000)::bigint, lanes, seconds, calls)
$$;
revoke all on function audit_rates_count_at(bigint, bytea[], integer[], integer[]) from public;
revoke all on function audit_rates_count(bytea[], integer[], integer[]) from public;

do $$
declare
    home text := (select nspname from pg_namespace join pg_class on relnamespace = pg_namespace.oid where pg_class.oid = 'audit_rates'::regclass);
begin
    execute format('alter function audit_rates_count_at(bigint, bytea[], integer[], integer[]) set search_path = %I, pg_temp', home);
    execute format('alter function audit_rates_count(bytea[], integer[], integer[]) set search_path = %I, pg_temp', home);
    if exists (select from pg_roles where rolname = 'doorward_writer') then
        grant execute on function audit_rates_count(bytea[], integer[], integer[]) to doorward_writer;
    end if;
end
$$;
