//! A report without the secrets that a recording held.
//!
//! Importers keep none, and a recording has no field for a token; yet whoever wrote one may have put a
//! secret into a name, a session or an argument. Parts are merged by such names and keep them.

use super::report::Report;
use crate::traffic::{holds_any_secret, mask_value};

impl Report {
    /// The report as it may be shown.
    ///
    /// # Errors
    ///
    /// When it has no JSON form, on which this rests.
    pub fn redacted(&self) -> Result<Self, serde_json::Error> {
        if !holds_any_secret(self) {
            return Ok(self.clone());
        }
        let mut value = serde_json::to_value(self)?;
        mask_value(&mut value);
        serde_json::from_value(value)
    }
}
