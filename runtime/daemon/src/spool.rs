//! `genba spool`: what an operator does with dead letters. A running box has the spool for itself, so it is asked over its
//! status socket; where none runs the file is opened here, which a start of the box would be told as "in use" meanwhile.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand};
use journal::spool::{self, Spool};
use miette::{Diagnostic, IntoDiagnostic, Result, miette};
use thiserror::Error;

use crate::{
    config::{Config, SpoolConfig},
    dead_letters::{self, Answer, Letter, Question},
    durable,
    status::{self, Asked, peer},
};

/// A box that starts measures its margin for two seconds before it answers, and each change waits for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked for on the command line.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    wish: Wish,
}

#[derive(Subcommand)]
enum Wish {
    /// Print the dead letters, the oldest first: where each stands, what it is, and why it was not delivered.
    List {
        /// The box's config.
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let dead letters be delivered after all, each at its old place in the order and under its id.
    Retry(Which),
    /// Give dead letters up: their content goes, and their clients are told that they failed.
    Purge(Which),
}

#[derive(Args)]
struct Which {
    /// The box's config.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Where they stand, as `list` prints it.
    #[arg(value_name = "POSITION", required_unless_present = "all", conflicts_with = "all")]
    positions: Vec<u64>,
    /// All that there are.
    #[arg(long)]
    all: bool,
}

/// Why nobody can be asked. Each changed nothing, unless it says otherwise.
#[derive(Debug, Error, Diagnostic)]
enum Unasked {
    #[error("the config declares no [spool]: this box keeps no durable requests")]
    #[diagnostic(help("name the config that the box runs with"))]
    NotDeclared,
    #[error("no box runs, and there is no spool at {}", .0.display())]
    #[diagnostic(help("the first `genba run` makes it; name the config that the box runs with"))]
    NotMade(PathBuf),
    #[error("cannot ask on the status socket {}: {why}", socket.display())]
    #[diagnostic(help("ask as the user that the box runs as: the socket is that user's alone"))]
    Unreachable { socket: PathBuf, why: io::Error },
    #[error("another user's process listens on {}: it is not asked", .0.display())]
    #[diagnostic(help(
        "ask as the user that the box runs as; give the box a [box] status_socket that others cannot make"
    ))]
    Foreign(PathBuf),
    #[error("the box on {} did not answer: {why}", socket.display())]
    #[diagnostic(help("it may still do what it was asked: `genba spool list` tells"))]
    Silent { socket: PathBuf, why: io::Error },
    #[error("the box on {} answered something else", .0.display())]
    #[diagnostic(help("it may be of another version: ask with the `genba` that it runs"))]
    Garbled(PathBuf),
    #[error("no box answers on {}, and another process has the spool open", .0.display())]
    #[diagnostic(help(
        "a box that starts or stops: ask again. Where the two see another XDG_RUNTIME_DIR, give the config a [box] \
         status_socket"
    ))]
    Busy(PathBuf),
    #[error("cannot open {}: {why}", file.display())]
    Unopened { file: PathBuf, why: spool::SpoolError },
}

/// Does what is asked for, and says what came of it.
pub(crate) fn spool(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.wish {
        Wish::List { config, json } => list(&mut Letters::of(&Config::load(config)?)?, *json),
        Wish::Retry(which) => each(which, Question::Retry),
        Wish::Purge(which) => each(which, Question::Purge),
    }
}

fn list(letters: &mut Letters, json: bool) -> Result<ExitCode> {
    let mut found = Vec::new();
    while let Some(letter) = letters.next()? {
        found.push(letter);
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&found).into_diagnostic()?);
    } else {
        print!("{}", human(&found));
    }
    Ok(ExitCode::SUCCESS)
}

/// One after the other, each told as it is done: `bad` where one was not.
fn each(which: &Which, wish: fn(u64) -> Question) -> Result<ExitCode> {
    let mut letters = Letters::of(&Config::load(&which.config)?)?;
    let mut named = which.positions.iter().copied();
    let (mut done, mut all_done) = (0_usize, true);
    loop {
        let next = if which.all { letters.next()?.map(|letter| letter.position) } else { named.next() };
        let Some(position) = next else { break };
        match letters.ask(wish(position))? {
            Answer::Waiting => println!("{position}: waits to be delivered"),
            Answer::Purged => println!("{position}: purged; its client is told that it failed"),
            Answer::Not(why) => {
                eprintln!("{position}: {why}");
                all_done = false;
            }
            Answer::Refused(why) => return Err(miette!("{why}")),
            Answer::Page(_) => return Err(letters.garbled().into()),
        }
        done += 1;
    }
    if done == 0 {
        println!("no dead letters");
    }
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The dead letters of a config's spool, by whichever way leads there.
struct Letters {
    way: Way,
    /// What was told and not taken yet.
    page: VecDeque<Letter>,
    /// The last one that was taken.
    behind: u64,
}

enum Way {
    /// A box has them, and listens there. The first connection is open.
    Box { socket: PathBuf, first: Option<UnixStream> },
    /// Nobody has them.
    File(Box<Spool>),
}

impl Letters {
    fn of(config: &Config) -> Result<Self, Unasked> {
        let kept = config.spool.as_ref().ok_or(Unasked::NotDeclared)?;
        let socket = config.status_socket.clone();
        let way = match UnixStream::connect(&socket) {
            Ok(first) => Way::Box { socket, first: Some(first) },
            Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Way::File(Box::new(open(kept, socket)?))
            }
            Err(why) => return Err(Unasked::Unreachable { socket, why }),
        };
        Ok(Self { way, page: VecDeque::new(), behind: 0 })
    }

    /// The next one, the oldest first. One that is dead again since is not met twice.
    fn next(&mut self) -> Result<Option<Letter>> {
        if self.page.is_empty() {
            match self.ask(Question::ListBehind(self.behind))? {
                Answer::Page(page) => self.page = page.into(),
                Answer::Refused(why) => return Err(miette!("{why}")),
                Answer::Waiting | Answer::Purged | Answer::Not(_) => return Err(self.garbled().into()),
            }
        }
        let next = self.page.pop_front();
        self.behind = next.as_ref().map_or(self.behind, |letter| letter.position);
        Ok(next)
    }

    fn ask(&mut self, question: Question) -> Result<Answer, Unasked> {
        match &mut self.way {
            Way::File(spool) => Ok(dead_letters::answer(spool, question, durable::now())),
            Way::Box { socket, first } => {
                let silent = |why| Unasked::Silent { socket: socket.clone(), why };
                let stream = first.take().map_or_else(|| UnixStream::connect(&socket), Ok).map_err(silent)?;
                if !peer::may_be_asked(&stream).map_err(silent)? {
                    return Err(Unasked::Foreign(socket.clone()));
                }
                let text = status::ask(stream, &Asked::DeadLetters(question), PATIENCE).map_err(silent)?;
                serde_json::from_str(&text).map_err(|_| Unasked::Garbled(socket.clone()))
            }
        }
    }

    fn garbled(&self) -> Unasked {
        match &self.way {
            Way::Box { socket, .. } => Unasked::Garbled(socket.clone()),
            Way::File(_) => unreachable!("`dead_letters::answer` answers each question by its own kind"),
        }
    }
}

/// The file, which is not made here: an empty one would hide that the config is another box's.
fn open(kept: &SpoolConfig, socket: PathBuf) -> Result<Spool, Unasked> {
    let SpoolConfig { file, key, settings, .. } = kept;
    if !file.exists() {
        return Err(Unasked::NotMade(file.clone()));
    }
    let opened = Spool::open(file, key, *settings, durable::now());
    if let Ok(spool) = &opened
        && let Some(losses) = durable::losses(spool.opening())
    {
        eprintln!("{losses}");
    }
    opened.map_err(|why| {
        if matches!(why, spool::SpoolError::Busy) {
            Unasked::Busy(socket)
        } else {
            Unasked::Unopened { file: file.clone(), why }
        }
    })
}

fn human(letters: &[Letter]) -> String {
    use std::fmt::Write as _;
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut text = String::new();
    for Letter { position, id, task, stored_at, attempts, bytes, in_doubt, why } in letters {
        let (id, task) = (id.as_deref().unwrap_or("an unknown id"), task.as_deref().unwrap_or("an unknown task"));
        let stored_at = stored_at.as_deref().unwrap_or("at an unknown time");
        let doubt = if *in_doubt { ", in doubt: it may have arrived" } else { "" };
        let _ = writeln!(
            text,
            "{position:<6} {id} of {task}: {bytes} bytes, stored {stored_at}, attempts: {attempts}{doubt}"
        );
        let number = why.number.as_ref().map_or(String::new(), |number| format!("{number} "));
        let _ = writeln!(text, "       {}: {number}{}: {}", why.kind, why.name, why.what);
        let _ = writeln!(text, "       {}", why.action);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::Cause;

    #[test]
    fn a_letter_says_where_it_stands_and_what_to_do() {
        let why = Cause {
            kind: "rejected".to_owned(),
            number: Some("E-701".to_owned()),
            name: "hand-off-denied".to_owned(),
            what: "Nothing was sent.".to_owned(),
            action: "See the matrix.".to_owned(),
        };
        let known = Letter {
            position: 7,
            id: Some("line/labels/41".to_owned()),
            task: Some("labels".to_owned()),
            stored_at: Some("2026-11-29T05:16:39.000000000Z".to_owned()),
            attempts: 1,
            bytes: 108,
            in_doubt: true,
            why,
        };
        let damaged = Letter {
            position: 8,
            id: None,
            task: None,
            stored_at: None,
            attempts: 0,
            bytes: 108,
            in_doubt: false,
            why: Cause::from(spool::Why::Damaged),
        };
        assert_eq!(
            human(&[known, damaged]),
            "7      line/labels/41 of labels: 108 bytes, stored 2026-11-29T05:16:39.000000000Z, attempts: 1, in doubt: it \
             may have arrived\n       rejected: E-701 hand-off-denied: Nothing was sent.\n       See the matrix.\n\
             8      an unknown id of an unknown task: 108 bytes, stored at an unknown time, attempts: 0\n       \
             damaged: damaged: What is on the disk is not what was stored.\n       Look at the disk; purge it, and let \
             its client send it again under a new number.\n"
        );
        assert_eq!(human(&[]), "no dead letters\n");
    }
}
