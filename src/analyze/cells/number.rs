//! A number in every gap between the numbers that matchers name, and each of those numbers.

use serde_json::Value;

use crate::policy::number::Number;

/// Numbers that between them compare in every way with `named` in which any number does.
pub(super) fn numbers(mut named: Vec<Number>) -> Vec<Value> {
    named.sort();
    named.dedup();
    let (Some(first), Some(last)) = (named.first().copied(), named.last().copied()) else { return vec![1.into()] };
    let mut found: Vec<Number> = named.clone();
    found.extend(named.windows(2).filter_map(|pair| if let [a, b] = *pair { between(a, b) } else { None }));
    found.extend(near(last).into_iter().find(|n| *n > last));
    found.extend(near(first).into_iter().find(|n| *n < first));
    found.into_iter().map(Number::to_json).collect()
}

/// A number strictly between two, if JSON as read here has one.
fn between(a: Number, b: Number) -> Option<Number> {
    let middle = float(a).zip(float(b)).and_then(|(a, b)| Number::from_f64(a / 2.0 + b / 2.0));
    let candidates = near(a).into_iter().chain(near(b)).chain(middle);
    candidates.into_iter().find(|n| *n > a && *n < b)
}

/// Numbers close to one, whole ones first.
fn near(number: Number) -> Vec<Number> {
    let mut found = Vec::new();
    let json = number.to_json();
    if let Some(i) = json.as_i64() {
        found.extend([i.checked_add(1), i.checked_sub(1)].into_iter().flatten().map(Number::from));
    }
    if let Some(u) = json.as_u64() {
        let unsigned = [u.checked_add(1), u.checked_sub(1)].into_iter().flatten();
        found.extend(unsigned.filter_map(|u| Number::of(&u.into())));
    }
    if let Some(f) = float(number) {
        let floats = [f + 1.0, f - 1.0, f * 2.0, f / 2.0, f + 0.5, f - 0.5, f.next_up(), f.next_down()];
        found.extend(floats.into_iter().filter_map(Number::from_f64));
    }
    found
}

fn float(number: Number) -> Option<f64> {
    number.to_json().as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gap_has_a_number_in_it() {
        let number = |text: &str| Number::of(&serde_json::from_str(text).unwrap()).unwrap();
        let of = |texts: &[&str]| -> Vec<String> {
            numbers(texts.iter().map(|t| number(t)).collect()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(of(&[]), ["1"]);
        assert_eq!(of(&["0", "500"]), ["0", "500", "1", "501", "-1"]);
        assert_eq!(of(&["1", "2"]), ["1", "2", "1.5", "3", "0"]);
        assert_eq!(of(&["9007199254740992", "9007199254740993"]).len(), 4, "nothing lies between");
        assert_eq!(of(&["18446744073709551615"]).len(), 3);
        assert_eq!(of(&["1.7976931348623157e308", "-1.7976931348623157e308"]).len(), 3);
    }
}
