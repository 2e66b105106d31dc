//! Which rows: the flags of the commands that search.

use crate::audit::chain::Column;
use crate::audit::store::Select;
use crate::cli::time::instant;
use crate::model::Timestamp;

/// Which rows.
#[derive(Debug, clap::Args)]
pub(super) struct SelectArgs {
    /// Rows about this subject; a flag that is given again means either
    #[arg(long, value_name = "SUB")]
    subject: Vec<String>,
    /// Rows about this agent
    #[arg(long, value_name = "AGENT")]
    agent: Vec<String>,
    /// Rows about subjects of this issuer
    #[arg(long, value_name = "ISSUER")]
    issuer: Vec<String>,
    /// Rows about this server
    #[arg(long, value_name = "SERVER")]
    door: Vec<String>,
    /// Rows about this tool, prompt or URI
    #[arg(long, value_name = "NAME")]
    tool: Vec<String>,
    /// Rows about this JSON-RPC method
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// `allow` or `deny`
    #[arg(long, value_name = "DECISION", value_parser = ["allow", "deny"])]
    decision: Vec<String>,
    /// Rows with this reason
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Rows that this statement decided
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// Rows about this request
    #[arg(long, value_name = "ID")]
    request: Vec<String>,
    /// Rows of this session, by the digest of its id
    #[arg(long, value_name = "DIGEST")]
    session: Vec<String>,
    /// Rows of this kind: `intent`, `denial`, `outcome`, `refusals` and those of the log itself
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Rows of this audit class
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Events from this instant on, as `2026-01-01T00:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Timestamp>,
    /// Events before this instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
}

impl SelectArgs {
    /// The question.
    pub(super) fn select(&self) -> Select {
        let columns = [
            (Column::Subject, &self.subject),
            (Column::Agent, &self.agent),
            (Column::Issuer, &self.issuer),
            (Column::Door, &self.door),
            (Column::Name, &self.tool),
            (Column::Method, &self.method),
            (Column::Decision, &self.decision),
            (Column::Reason, &self.reason),
            (Column::Rule, &self.rule),
            (Column::Request, &self.request),
            (Column::Session, &self.session),
        ];
        let texts = columns.iter().flat_map(|(column, texts)| texts.iter().map(|text| (*column, text.clone())));
        let microseconds = |time: Timestamp| time.0.saturating_mul(1_000_000);
        Select {
            class: self.class.clone(),
            kind: self.kind.clone(),
            texts: texts.collect(),
            since: self.since.map(microseconds),
            until: self.until.map(microseconds),
            ..Select::default()
        }
    }
}
