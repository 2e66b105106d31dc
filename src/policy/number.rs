//! Numbers of arguments and limits, compared by value whatever their JSON form.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A finite number. An integer that an `i128` holds is always kept as one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(from = "Form", into = "Form")]
pub struct Number(Form);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Form {
    Integer(i64),
    Unsigned(u64),
    Float(f64),
}

impl From<Form> for Number {
    fn from(form: Form) -> Self {
        Self(match form {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "the bounds are exact floats"
            )]
            Form::Float(f) if f.fract() == 0.0 && f >= i64::MIN as f64 && f < i64::MAX as f64 => {
                Form::Integer(f as i64)
            }
            Form::Unsigned(u) => i64::try_from(u).map_or(form, Form::Integer),
            form => form,
        })
    }
}

impl From<Number> for Form {
    fn from(number: Number) -> Self {
        number.0
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(Form::Integer(value))
    }
}

impl Number {
    /// A number from a float; `None` unless it is finite.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Form::Float(value).into())
    }

    /// The number in a JSON value, if it is one.
    pub fn of(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        if let Some(i) = number.as_i64() {
            return Some(Self(Form::Integer(i)));
        }
        if let Some(u) = number.as_u64() {
            return Some(Form::Unsigned(u).into());
        }
        number.as_f64().and_then(Self::from_f64)
    }

    /// The JSON form.
    pub fn to_json(self) -> Value {
        match self.0 {
            Form::Integer(i) => i.into(),
            Form::Unsigned(u) => u.into(),
            Form::Float(f) => f.into(),
        }
    }
}

impl Number {
    /// The nearest float.
    #[expect(clippy::cast_precision_loss, reason = "the nearest one is what is asked for")]
    pub fn to_f64(self) -> f64 {
        match self.0 {
            Form::Integer(i) => i as f64,
            Form::Unsigned(u) => u as f64,
            Form::Float(f) => f,
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Form::Integer(a), Form::Integer(b)) => a.cmp(&b),
            (Form::Unsigned(a), Form::Unsigned(b)) => a.cmp(&b),
            (Form::Integer(_), Form::Unsigned(_)) => Ordering::Less,
            (Form::Unsigned(_), Form::Integer(_)) => Ordering::Greater,
            (Form::Float(a), Form::Float(b)) => a.total_cmp(&b),
            (Form::Float(a), Form::Integer(b)) => float_against(a, i128::from(b)),
            (Form::Float(a), Form::Unsigned(b)) => float_against(a, i128::from(b)),
            (Form::Integer(a), Form::Float(b)) => float_against(b, i128::from(a)).reverse(),
            (Form::Unsigned(a), Form::Float(b)) => float_against(b, i128::from(a)).reverse(),
        }
    }
}

/// Compares a float that is not a small whole number with an integer, exactly.
fn float_against(float: f64, integer: i128) -> Ordering {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and every u64 and i64 lies inside i128")]
    let whole = float.trunc() as i128;
    whole.cmp(&integer).then_with(|| float.fract().total_cmp(&0.0))
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::of(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn numbers_compare_by_value_and_not_by_form() {
        assert_eq!(number("50"), number("50.0"));
        assert_eq!(number("5e1"), number("50"));
        assert_eq!(number("-0.0"), number("0"));
        assert!(number("50.000001") > number("50"));
        assert!(number("9007199254740993") > number("9007199254740992.0"));
        assert!(number("18446744073709551615") > number("9223372036854775807"));
        assert!(number("1e300") > number("18446744073709551615"));
        assert!(number("-1e300") < number("-9223372036854775808"));
        assert!(number("-0.5") < number("0"));
        assert!(number("0.5") > number("0"));
    }
}
