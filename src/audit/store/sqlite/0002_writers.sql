-- The seals that begin and end writers, by time: who opens asks for the latest of them, and they are never removed.
create index audit_log_writers on audit_log (kind, written) where class = '.log';
