//! `genba audit`: what a box's journal holds, for whoever has to answer for what left it. It only reads, and needs neither
//! the box nor its config: a copy of the files will do, on another machine too.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use journal::chain::{
    CutHow, ExportError, Finding, Month, PublicKey, Reader, Verdict, export_lines, export_table, list, report, verify,
};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde::Serialize;

/// Nothing bad was found, and not all could be shown.
const INCONCLUSIVE: u8 = 3;

/// What is asked for on the command line.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand)]
enum Question {
    /// Say whether the journal is what the box wrote: exit 0 if it is and a head outside vouches for it, 1 if it is not, 3
    /// if that cannot be shown.
    Verify {
        #[command(flatten)]
        chain: Chain,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the records as a table or as they are: exit 1 where the journal is damaged.
    Export {
        /// The journal's folder.
        folder: PathBuf,
        /// Only the records of this month (UTC), such as 2026-11.
        #[arg(long)]
        month: Option<Month>,
        /// A table for a spreadsheet, or JSON lines with their hashes.
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// Begin a table with a byte order mark: some spreadsheet programs need it to read UTF-8.
        #[arg(long)]
        bom: bool,
        /// Write to this file, which must not be there yet; default: standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Sum up a month: what left, to whom, under which rule; what was refused; what is in doubt. Verifies the journal first,
    /// and exits as that does.
    Report {
        #[command(flatten)]
        chain: Chain,
        /// The month (UTC), such as 2026-11.
        #[arg(long)]
        month: Month,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A journal and what it is held against.
#[derive(Args)]
struct Chain {
    /// The journal's folder.
    folder: PathBuf,
    /// The box's public key, kept elsewhere since its first start. Default: box.key.pub of the folder, which shows nothing
    /// against who could write there.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Signed heads that were kept elsewhere; may be given more than once.
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
}

/// A verdict as it is printed.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(flatten)]
    verdict: &'a Verdict,
    not_anchored: u64,
    files: usize,
    not_claimed: &'a [String],
}

/// Answers a question.
pub(crate) fn audit(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.question {
        Question::Verify { chain, json } => {
            let (verdict, files) = judge(chain)?;
            let not_claimed = not_claimed(chain, &verdict);
            if *json {
                let said =
                    Said { verdict: &verdict, not_anchored: verdict.not_anchored(), files, not_claimed: &not_claimed };
                println!("{}", serde_json::to_string_pretty(&said).into_diagnostic()?);
            } else {
                print!("{}", text(&verdict, files, &not_claimed));
            }
            Ok(exit(&verdict, &not_claimed))
        }
        Question::Export { folder, month, format, bom, output } => {
            export(folder, *month, *format, *bom, output.as_deref())?;
            Ok(ExitCode::SUCCESS)
        }
        Question::Report { chain, month, json } => {
            let (verdict, _) = judge(chain)?;
            let not_claimed = not_claimed(chain, &verdict);
            let code = exit(&verdict, &not_claimed);
            eprintln!("journal: {}", verdict.finding);
            let report = report(open(&chain.folder)?, *month).map_err(|error| told(&error, &chain.folder))?;
            if *json {
                println!("{}", serde_json::to_string_pretty(&report).into_diagnostic()?);
            } else {
                print!("{report}");
            }
            Ok(code)
        }
    }
}

fn judge(chain: &Chain) -> Result<(Verdict, usize)> {
    let files = list(&chain.folder).into_diagnostic().wrap_err_with(|| unreadable(&chain.folder))?;
    let path = chain.key.clone().unwrap_or_else(|| chain.folder.join("box.key.pub"));
    let key =
        PublicKey::load(&path).map_err(|error| miette!(help = "name the box's public key: --key FILE", "{error}"))?;
    let count = files.len();
    let verdict = verify(files, key, &chain.anchor).into_diagnostic().wrap_err_with(|| unreadable(&chain.folder))?;
    Ok((verdict, count))
}

/// What a reader could take for shown and is not.
fn not_claimed(chain: &Chain, verdict: &Verdict) -> Vec<String> {
    let mut list = Vec::new();
    if verdict.anchored.is_none() {
        list.push(
            "no head that was kept elsewhere vouches for any record: whoever has the box's key can have written all of it \
             anew, and what was cut from its end does not show"
                .to_owned(),
        );
    }
    if chain.key.is_none() {
        list.push(
            "the key is the one beside the journal: whoever could write there can have replaced both; give the one that \
             was kept elsewhere"
                .to_owned(),
        );
    }
    list
}

fn exit(verdict: &Verdict, not_claimed: &[String]) -> ExitCode {
    match &verdict.finding {
        Finding::Intact if not_claimed.is_empty() => ExitCode::SUCCESS,
        Finding::Intact | Finding::Empty | Finding::Cut { how: CutHow::Torn { .. }, .. } => {
            ExitCode::from(INCONCLUSIVE)
        }
        Finding::Altered { .. }
        | Finding::Cut { how: CutHow::Anchor(_) | CutHow::NextFile(_), .. }
        | Finding::BadSignature { .. }
        | Finding::UnknownKey { .. }
        | Finding::BadAnchor { .. } => ExitCode::FAILURE,
    }
}

fn text(verdict: &Verdict, files: usize, not_claimed: &[String]) -> String {
    let Verdict { finding, last, signed, anchored, anchors, recoveries, in_doubt, box_id, .. } = verdict;
    let box_id = box_id.as_deref().unwrap_or("of no name");
    let mut lines = vec![format!("{finding}"), format!("{last} records of box {box_id} hold, in {files} files")];
    lines.push(match anchored {
        Some(anchored) => {
            let left = verdict.not_anchored();
            format!("signed up to record {signed}; {anchors} heads outside agree, up to record {anchored}; {left} not yet anchored")
        }
        None => format!("signed up to record {signed}; none is anchored"),
    });
    if *recoveries > 0 {
        lines.push(format!("the box cut a torn or lost end {recoveries} times, and signed that"));
    }
    if *in_doubt > 0 {
        lines.push(format!("{in_doubt} attempts are in doubt: the box stopped before it heard how they ended"));
    }
    if verdict.unreadable_anchor_lines > 0 {
        lines.push(format!("{} lines of the anchors are no heads", verdict.unreadable_anchor_lines));
    }
    lines.extend(not_claimed.iter().map(|what| format!("not claimed: {what}")));
    lines.join("\n") + "\n"
}

fn export(folder: &Path, month: Option<Month>, format: Format, bom: bool, output: Option<&Path>) -> Result<()> {
    let from = open(folder)?;
    let to: Box<dyn Write> = match output {
        Some(path) => {
            let file = File::create_new(path).into_diagnostic().wrap_err_with(|| unwritable(path))?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let result = match format {
        Format::Csv => export_table(from, month, bom, to),
        Format::Jsonl => export_lines(from, month, to),
    };
    result.map_err(|error| told(&error, folder))
}

fn open(folder: &Path) -> Result<Reader> {
    let files = list(folder).into_diagnostic().wrap_err_with(|| unreadable(folder))?;
    if files.is_empty() {
        return Err(miette!(help = "name the folder of [journal]", "there is no journal in {}", folder.display()));
    }
    Reader::open(files).into_diagnostic().wrap_err_with(|| unreadable(folder))
}

fn told(error: &ExportError, folder: &Path) -> miette::Report {
    let help = format!("genba audit verify {}", folder.display());
    miette!(help = help, "{error}")
}

fn unreadable(folder: &Path) -> String {
    format!("the journal {} cannot be read", folder.display())
}

fn unwritable(path: &Path) -> String {
    format!("{} cannot be written", path.display())
}
