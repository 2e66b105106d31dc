//! The tables of the log: made, brought up to date, and who may do what with them.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};

use super::{Postgres, StoreError, StoreErrorKind};

/// The newest version of the tables.
pub(super) const VERSION: i64 = 3;

/// Makes the tables or brings them up to date. Whoever may only insert finds them made.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    let version = "select max(version) from audit_log_migrations where success";
    let found = sqlx::query_scalar::<_, Option<i64>>(version).fetch_one(&mut *connection).await.ok().flatten();
    match found {
        Some(VERSION) => return Ok(()),
        Some(version) if version > VERSION => {
            let message = format!("the audit log is of version {version}, and this build knows {VERSION}: update it");
            return Err(StoreError::new(StoreErrorKind::NoLog, message));
        }
        _ => {}
    }
    let simple = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(vec![
        simple(1, "audit log", include_str!("0001_audit_log.sql")),
        simple(2, "writers", include_str!("0002_writers.sql")),
        simple(VERSION, "rates", include_str!("0003_rates.sql")),
    ]);
    migrator.dangerous_set_table_name("audit_log_migrations");
    migrator.run(&mut *connection).await.map_err(|error| {
        let error = StoreError::connecting(&error.into());
        match found {
            // Whoever may only insert cannot.
            Some(version) => {
                let message = format!(
                    "the audit log is of version {version} and must be brought to {VERSION} by its owner: \
                     run `doorward audit init` as it ({error})"
                );
                StoreError::new(StoreErrorKind::NoLog, message)
            }
            None => error,
        }
    })
}

impl Postgres {
    /// Gives a role the rights of a gateway: to insert, to read, to have partitions made, and to count. Makes the
    /// role where there is none; it cannot log in by itself.
    pub(in crate::audit::store) async fn grant(&mut self, role: &str) -> Result<(), StoreError> {
        let failed = |e: sqlx::Error| StoreError::connecting(&e);
        let exists = "select exists (select from pg_roles where rolname = $1)";
        let exists = sqlx::query_scalar::<_, bool>(exists).bind(role).fetch_one(&mut self.connection).await;
        let names = "select quote_ident(nspname), quote_ident($1) from pg_namespace \
                     join pg_class on relnamespace = pg_namespace.oid where pg_class.oid = 'audit_log'::regclass";
        let names = sqlx::query_as::<_, (String, String)>(names).bind(role).fetch_one(&mut self.connection).await;
        let (schema, role) = names.map_err(failed)?;
        let mut all = if exists.map_err(failed)? { String::new() } else { format!("create role {role} nologin;") };
        all.push_str(&format!(
            "grant usage on schema {schema} to {role};
             grant select, insert on {schema}.audit_log to {role};
             grant select on {schema}.audit_log_migrations to {role};
             grant execute on function {schema}.audit_log_partition(text, timestamptz) to {role};
             grant execute on function {schema}.audit_rates_count(bytea[], integer[], integer[]) to {role};"
        ));
        self.connection.execute(AssertSqlSafe(format!("begin;{all}commit"))).await.map(drop).map_err(failed)
    }
}
