//! What a box is asked over its status socket, one question a connection: the text of a question until its end, and back the
//! text of the answer until its end.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::dead_letters;

/// No question is longer.
const MOST_BYTES: usize = 4096;
/// Who connects has said what it wants by then, or wants the status: it is on the same machine.
const WITHIN: Duration = Duration::from_millis(50);

/// A question. Whoever says nothing asks for the status.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Asked {
    /// What it has answered so far.
    Status,
    /// Its dead letters: for its own user only, whoever else may connect.
    DeadLetters(dead_letters::Question),
}

/// The box's side. None where it cannot be read: there is no answer to that.
pub(super) fn read(stream: &mut UnixStream) -> Option<Asked> {
    let until = Instant::now() + WITHIN;
    let (mut text, mut piece) = (Vec::new(), [0; 512]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(bytes) => text.extend_from_slice(&piece[..bytes]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        if text.len() > MOST_BYTES {
            return None;
        }
    }
    if text.is_empty() { Some(Asked::Status) } else { serde_json::from_slice(&text).ok() }
}

/// The asking side: the answer's text. `patience` is for each piece of it.
pub(crate) fn ask(mut stream: UnixStream, asked: &Asked, patience: Duration) -> io::Result<String> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(&serde_json::to_vec(asked)?)?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a box reads of this, with or without an end.
    fn heard(text: &[u8], ends: bool) -> Option<Asked> {
        let (mut asking, mut asked) = UnixStream::pair().expect("a pair");
        asking.write_all(text).expect("it is short");
        if ends {
            asking.shutdown(Shutdown::Write).expect("it is open");
        }
        read(&mut asked)
    }

    #[test]
    fn who_says_nothing_asks_for_the_status() {
        assert_eq!(heard(b"", true), Some(Asked::Status));
        assert_eq!(heard(b"", false), Some(Asked::Status), "after a while");
    }

    #[test]
    fn a_question_is_read_as_it_was_asked_and_anything_else_is_none() {
        let question = Asked::DeadLetters(dead_letters::Question::Purge(7));
        let text = serde_json::to_vec(&question).expect("it is JSON");
        assert_eq!(heard(&text, true), Some(question));
        assert_eq!(heard(&text[..text.len() - 1], true), None, "half a question");
        assert_eq!(heard(b"purge everything", true), None);
        assert_eq!(heard(&[b' '; MOST_BYTES + 1], true), None, "longer than any");
    }
}
