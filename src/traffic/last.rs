//! The arguments of the last calls, each list of wanted names with those of the last call that it was wanted of.
//!
//! The arguments of the next such call take their place in memory, which is hot and has the shape that they need.
//! What stays is bounded, and nothing of it is ever taken for a part of another call.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value};

use super::flat;
use super::keep::{Again, Keep, Kept, MAX_AGAIN};

/// The most lists of names.
const MAX_LISTS: usize = 1 << 10;
/// The longest arguments that take the place of others, in bytes.
const MAX_STAYING: usize = 16 << 10;

/// The arguments of the last calls.
#[derive(Debug, Default)]
pub(super) struct Last {
    numbers: HashMap<Vec<String>, u32, FixedState>,
    kept: Vec<Map<String, Value>>,
}

/// Where the arguments of a call are.
#[derive(Debug)]
pub(super) enum Held {
    Nowhere,
    /// Under this number, until the next are read.
    There(u32),
    Here(Map<String, Value>),
}

impl Last {
    /// The number under which what is kept in this way stays, if it does.
    pub(super) fn number(&mut self, keep: &Keep) -> Option<u32> {
        let Keep::Named(names) = keep else { return None };
        if let Some(number) = self.numbers.get(names) {
            return Some(*number);
        }
        let number = u32::try_from(self.kept.len()).ok()?;
        if names.len() > MAX_AGAIN || self.kept.len() >= MAX_LISTS {
            return None;
        }
        self.kept.push(Map::new());
        self.numbers.insert(names.clone(), number);
        Some(number)
    }

    /// Reads the arguments of a call and keeps what is wanted of them. `number` is what [`Last::number`] says of it.
    pub(super) fn read(&mut self, text: &str, keep: &Keep, number: Option<u32>) -> serde_json::Result<Held> {
        let staying = number.filter(|_| text.len() <= MAX_STAYING);
        let place = staying.and_then(|number| Some((number, self.kept.get_mut(number as usize)?)));
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let held = match (keep, place) {
            (Keep::Named(names), Some((number, kept))) => {
                if flat::read(text, names, kept).is_some() {
                    return Ok(Held::There(number));
                }
                Again { names, kept }.deserialize(&mut deserializer)?;
                Held::There(number)
            }
            (keep, _) => Held::Here(Kept(keep).deserialize(&mut deserializer)?),
        };
        deserializer.end().map(|()| held)
    }

    /// What is held.
    pub(super) fn get(&self, held: Held) -> Option<Cow<'_, Map<String, Value>>> {
        match held {
            Held::Nowhere => None,
            Held::There(number) => self.kept.get(number as usize).map(Cow::Borrowed),
            Held::Here(kept) => Some(Cow::Owned(kept)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_call_is_seen_in_the_next_whatever_was_wanted_of_either() {
        let lists = [vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()], vec!["b".to_owned()]];
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_STAYING));
        let texts = ["{}", "{\"a\":1,\"b\":\"x\"}", "{\"b\":[1]}", &long, "{\"a\":", "{\"c\":3}", "{\"b\":2,\"b\":3}"];
        let mut last = Last::default();
        for first in texts {
            for second in texts {
                for names in &lists {
                    let keep = Keep::Named(names.clone());
                    let number = last.number(&keep);
                    assert!(number.is_some());
                    let _ = last.read(first, &keep, number);
                    let read = last.read(second, &keep, number).ok().map(|held| last.get(held).unwrap().into_owned());
                    let alone = Last::default().read(second, &keep, None).ok();
                    let alone = alone.map(|held| Last::default().get(held).unwrap().into_owned());
                    assert_eq!(read, alone, "{second} behind {first}");
                }
            }
        }
    }
}
