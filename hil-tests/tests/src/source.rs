//! What a source of the tree names, for tests of its structure.

use std::{collections::BTreeSet, fs};

use crate::genba::repository;

/// A source's code, without its comments and the texts in it.
pub struct Source(String);

impl Source {
    /// A module of the daemon, without those below it.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn of_daemon(module: &str) -> Self {
        let path = repository().join("runtime/daemon/src").join(module).with_extension("rs");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::of(&text)
    }

    fn of(text: &str) -> Self {
        Self(text.lines().map(|line| code(line) + "\n").collect())
    }

    /// Every name and keyword in it.
    #[must_use]
    pub fn words(&self) -> BTreeSet<String> {
        let words = self.0.split(|letter| !is_of_word(letter)).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    }

    /// The modules that it uses of its own crate: what follows `crate::`, alone or in braces.
    #[must_use]
    pub fn modules(&self) -> BTreeSet<String> {
        let used = self.0.split("crate::").skip(1).flat_map(|after| match after.strip_prefix('{') {
            Some(listed) => outermost(listed),
            None => vec![after.to_owned()],
        });
        used.map(|path| first_word(path.trim_start())).filter(|module| !module.is_empty()).collect()
    }
}

/// The parts of a list that ends with its brace.
fn outermost(listed: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0_u32, vec![String::new()]);
    for letter in listed.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            letter if depth == 0 => parts.last_mut().expect("there is always one").push(letter),
            _ => {}
        }
    }
    parts
}

fn first_word(path: &str) -> String {
    path.chars().take_while(|letter| is_of_word(*letter)).collect()
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// A line without its comment and its texts. Texts over several lines are taken for code: too much is named, never too little.
fn code(line: &str) -> String {
    let (mut code, mut quoted) = (String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quoted => drop(letters.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && letters.peek() == Some(&'/') => break,
            letter if !quoted => code.push(letter),
            _ => {}
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn comments_and_texts_name_nothing() {
        let words = Source::of("// the journal\nfn take() { \"a \\\" lane\" } /// cluster_link\n").words();
        assert_eq!(words, set(&["fn", "take"]));
    }

    #[test]
    fn names_are_whole_words() {
        let words = Source::of("fn journalled(at: journal::chain::Journal) -> Planet { std::fs::read(at) }").words();
        assert!(words.contains("journal") && words.contains("fs"), "{words:?}");
        assert!(!words.contains("lane") && !words.contains("net"), "{words:?}");
    }

    #[test]
    fn modules_are_found_alone_and_in_braces() {
        let source = "use crate::{clock,\n    hand_off::{Cluster, gate::{self}},\n    worker::Bring,\n};\n\
                      fn f() { crate::lane::start() } use std::{fs, net};";
        assert_eq!(Source::of(source).modules(), set(&["clock", "hand_off", "worker", "lane"]));
        assert_eq!(Source::of("use std::thread; // crate::journal").modules(), set(&[]));
    }
}
