//! Which key expressions to subscribe to, and which subscription a frame counts on.
//!
//! zenoh calls every subscription that a key matches. Each frame must be taken exactly once, so the
//! first matching subscription takes it and the others pass it over.

use zenoh::key_expr::{KeyExpr, keyexpr};

/// The key expressions to subscribe to, in order of precedence.
pub(crate) struct Subjects(Vec<Subject>);

struct Subject {
    expression: KeyExpr<'static>,
    /// The earlier subjects that share a key with this one.
    rivals: Vec<usize>,
}

impl Subjects {
    /// The stray expressions, and the keys of routes that none of them covers.
    pub(crate) fn new(strays: &[KeyExpr<'static>], keys: &[KeyExpr<'static>]) -> Self {
        let mut subjects: Vec<Subject> = Vec::new();
        for (place, stray) in strays.iter().enumerate() {
            let covered = strays.iter().enumerate().any(|(other, wider)| {
                // Of two equal ones the first stays.
                wider.includes(stray) && (!stray.includes(wider) || other < place)
            });
            if !covered {
                add(&mut subjects, stray);
            }
        }
        for key in keys {
            if !strays.iter().any(|stray| stray.includes(key)) {
                add(&mut subjects, key);
            }
        }
        Self(subjects)
    }

    /// The expressions with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &KeyExpr<'static>)> {
        self.0.iter().map(|subject| &subject.expression).enumerate()
    }

    /// Whether a frame on `key`, which came in on `subject`, is to be taken there.
    pub(crate) fn takes(&self, subject: usize, key: &keyexpr) -> bool {
        let matches = |earlier: &Subject| earlier.expression.intersects(key);
        if key.is_wild() {
            // Somebody published to many keys at once; it may match subjects that share no key.
            !self.0.iter().take(subject).any(matches)
        } else {
            self.0
                .get(subject)
                .is_some_and(|subject| !subject.rivals.iter().filter_map(|&rival| self.0.get(rival)).any(matches))
        }
    }
}

fn add(subjects: &mut Vec<Subject>, expression: &KeyExpr<'static>) {
    let rivals = subjects
        .iter()
        .enumerate()
        .filter(|(_, earlier)| earlier.expression.intersects(expression))
        .map(|(place, _)| place)
        .collect();
    subjects.push(Subject { expression: expression.clone(), rivals });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&'static str]) -> Vec<KeyExpr<'static>> {
        keys.iter().map(|key| KeyExpr::try_from(*key).expect("a key")).collect()
    }

    /// How many subscriptions take a frame on `key`, of how many that zenoh calls.
    fn taken(subjects: &Subjects, key: &str) -> (usize, usize) {
        let key = keyexpr::new(key).expect("a key");
        let called: Vec<usize> =
            subjects.iter().filter(|(_, expression)| expression.intersects(key)).map(|(place, _)| place).collect();
        (called.iter().filter(|&&place| subjects.takes(place, key)).count(), called.len())
    }

    #[test]
    fn covered_expressions_are_not_subscribed_twice() {
        let subjects = Subjects::new(
            &keys(&["s/c/*/observation", "s/**/observation", "s/**/observation"]),
            &keys(&["s/c/r/observation", "other/key"]),
        );
        let expressions: Vec<&str> = subjects.iter().map(|(_, key)| key.as_str()).collect();
        assert_eq!(expressions, ["s/**/observation", "other/key"]);
    }

    #[test]
    fn every_key_is_taken_exactly_once() {
        let subjects = Subjects::new(
            &keys(&["s/*/t/observation", "s/r/*/observation", "s/r/t/*"]),
            &keys(&["x/1", "x/2", "s/r/t/observation"]),
        );
        for (key, called) in [
            ("s/r/t/observation", 3),
            ("s/r/u/observation", 1),
            ("s/q/t/observation", 1),
            ("x/1", 1),
            ("x/2", 1),
            ("x/*", 2),
            ("**", 5),
        ] {
            assert_eq!(taken(&subjects, key), (1, called), "{key}");
        }
        assert_eq!(taken(&subjects, "s/r/observation"), (0, 0));
    }
}
