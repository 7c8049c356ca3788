//! The report as one page that needs nothing else.

use std::fmt::Write as _;

use super::findings::{Findings, ModelFindings, ProviderFindings, Verdict};
use super::tests::Tests;
use super::trtexec::Trtexec;

pub(crate) fn page(findings: &Findings) -> String {
    let class = match findings.verdict {
        Verdict::Proven => "held",
        Verdict::Failed => "failed",
        Verdict::NoGpu | Verdict::LeftOut => "nothing",
    };
    let mut page = String::from(HEAD);
    let mut add = |text: &str| page.push_str(text);
    add("<h1>genba on a GPU</h1>\n");
    add(&format!("<p class=\"verdict {class}\">{}</p>\n", text(findings.verdict.says())));
    add(&format!("<p class=\"lead\">{}</p>\n", text(&origin(findings))));
    add(&machine(findings));
    for model in &findings.models {
        add(&model_table(model));
    }
    add(&tests(findings.tests.as_ref()));
    add(NOTE);
    add("</main>\n</body>\n</html>\n");
    page
}

fn origin(findings: &Findings) -> String {
    let commit = findings.commit.as_deref().map_or(String::new(), |commit| format!(" at commit {commit}"));
    format!("Written by make gpu-proof on {}{commit}.", findings.date)
}

fn machine(findings: &Findings) -> String {
    let gpus = if findings.gpus.is_empty() { "none of Nvidia's".to_owned() } else { findings.gpus.join(", ") };
    let machine = &findings.machine;
    let rows = [
        ("GPU", gpus),
        ("Driver", findings.driver.clone().unwrap_or_else(|| "no Nvidia driver runs here".to_owned())),
        ("Library", findings.library.clone()),
        ("Processor", format!("{}, {} cores", machine.cpu, machine.cores)),
        ("Kernel", machine.kernel.clone()),
        ("Load", machine.load.clone()),
    ];
    let rows: Vec<_> =
        rows.iter().map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", text(value))).collect();
    format!("<table>\n{}</table>\n", rows.concat())
}

fn model_table(model: &ModelFindings) -> String {
    let mut table = format!(
        "<h2>{}</h2>\n<p class=\"note\">SHA-256 {}</p>\n<table>\n<tr><th>on</th><th>p50</th><th>p99</th><th>p99.9</th>\
         <th>first load</th><th>next load</th><th>from golden</th></tr>\n",
        text(&model.model),
        text(&model.sha256)
    );
    for ProviderFindings { provider, settings, refused, measured } in &model.providers {
        let row = match measured {
            Some(found) => format!(
                "<td>{:.1} µs</td><td>{:.1} µs</td><td>{:.1} µs</td><td>{} ms</td><td>{} ms</td><td>{}</td>",
                found.times.p50_us,
                found.times.p99_us,
                found.times.p999_us,
                found.first_load_ms,
                found.second_load_ms,
                found.deviation.map_or_else(|| "no vectors".to_owned(), |deviation| format!("{deviation:.1e}")),
            ),
            None => format!("<td colspan=\"6\">{}</td>", text(refused.as_deref().unwrap_or("not measured"))),
        };
        let _ = writeln!(table, "<tr><th title=\"{}\">{}</th>{row}</tr>", text(settings), text(provider));
    }
    let beside = match &model.trtexec {
        Trtexec::Latency { median_us, p99_us } => {
            format!(
                "<td>{median_us:.1} µs</td><td>{p99_us:.1} µs</td><td colspan=\"4\">host latency as it prints it</td>"
            )
        }
        Trtexec::NotRun(why) => format!("<td colspan=\"6\">not run: {}</td>", text(why)),
        Trtexec::Failed(said) => format!("<td colspan=\"6\"><pre>{}</pre></td>", text(said)),
    };
    let _ = writeln!(table, "<tr><th>trtexec</th>{beside}</tr>\n</table>");
    table
}

fn tests(tests: Option<&Tests>) -> String {
    let Some(Tests { good, skipped, said }) = tests else {
        return "<h2>Tests</h2>\n<p>The group of tests that need a GPU was left out.</p>\n".to_owned();
    };
    let ended = match (good, skipped.is_empty()) {
        (true, true) => "The group of tests that need a GPU passed.",
        (true, false) => "The group of tests that need a GPU did not run on one:",
        (false, _) => "The group of tests that need a GPU FAILED:",
    };
    let lines: Vec<_> = skipped.iter().chain(said).map(|line| text(line)).collect();
    format!("<h2>Tests</h2>\n<p>{ended}</p>\n<pre>{}</pre>\n", lines.join("\n"))
}

fn text(plain: &str) -> String {
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// What the figures are, and where those go that are not built yet.
const NOTE: &str = "<p class=\"note\">Each time is one run of a bare session, from the call until the outputs are in the \
    processor's memory, one observation at a time, on a thread of the default class. A provider has a row of times only if \
    it holds every operator of the model and answers the model's golden vectors within the tolerance that model.toml \
    declares. CUDA graphs, pinned buffers and int8 are not built: their rows belong here once this page shows the ones \
    above on a GPU.</p>\n";

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
    content=\"width=device-width, initial-scale=1\">\n<title>genba on a GPU</title>\n<style>\n:root { color-scheme: light dark; }\n\
    body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }\nmain { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }\n\
    .verdict { padding: .8rem 1rem; border-left: .4rem solid; font-weight: 600; }\n.held { border-color: #2a8a4a; }\n\
    .failed { border-color: #c0392b; }\n.nothing { border-color: #b8860b; }\n.note, .lead { color: GrayText; }\n\
    .note { overflow-wrap: anywhere; }\ntable { border-collapse: collapse; width: 100%; }\nth, td { text-align: left; \
    vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8884; overflow-wrap: anywhere; }\n\
    td { font-variant-numeric: tabular-nums; }\npre { white-space: pre-wrap; font-size: .85rem; }\n</style>\n</head>\n<body>\n<main>\n";

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn what_others_said_is_text_and_no_markup() {
        assert_eq!(text("<b a=\"1\"> & </b>"), "&lt;b a=&quot;1&quot;&gt; &amp; &lt;/b&gt;");
    }
}
