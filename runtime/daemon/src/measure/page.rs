//! A record as one HTML page that needs nothing else: no script, no font, no picture from outside.

use std::time::Duration;

use super::{
    plot::{PlotError, color, exceedance, histogram},
    report::{Finding, count, percent, quantiles, span},
};
use crate::timing::{Inputs, Quantile, Record, Scene};

/// The page.
pub(super) fn page(finding: &Finding) -> Result<String, PlotError> {
    let record = &finding.record;
    let mut parts = vec![heading(record), verdict(finding), lead(record)];
    parts.push(format!("<figure>{}{}</figure>", inline(&exceedance(record, finding.quantile)?), legend(record)));
    parts.push(
        "<p class=\"note\">Read the picture from a share on the left, such as 1 in 1,000, to a line and down to the time \
         that all but this share of inferences kept. A line is thin where fewer than ten samples lie beyond. The red \
         line is the execution time above.</p>"
            .to_owned(),
    );
    parts.push(table(record));
    parts.push("<h2>How often an inference took how long</h2>\n<div class=\"grid\">".to_owned());
    for timed in record.scenes() {
        parts.push(format!("<figure>{}</figure>", inline(&histogram(record, timed)?)));
    }
    parts.push("</div>".to_owned());
    parts.push(binding(record));
    Ok(format!("{HEAD}{}\n</main>\n</body>\n</html>\n", parts.join("\n")))
}

fn heading(record: &Record) -> String {
    format!("<h1>{} <small>on worker {}</small></h1>", text(&record.origin.model), text(&record.origin.worker))
}

fn verdict(finding: &Finding) -> String {
    let headline = finding.headline().map(|headline| text(&headline));
    let reasons: Vec<_> = finding.inconclusive().map(|reason| format!("<br>Inconclusive: {}", text(&reason))).collect();
    let class = if reasons.is_empty() { "held" } else { "inconclusive" };
    let headline = headline.unwrap_or_else(|| "No execution time".to_owned());
    format!("<p class=\"verdict {class}\">{headline}{}</p>", reasons.concat())
}

fn lead(record: &Record) -> String {
    let inputs = match &record.origin.inputs {
        Inputs::Golden { observations } => {
            format!("It ran on the {} of golden.json in its folder, in turn.", count(*observations, "observation"))
        }
        Inputs::Zeros {} => {
            "It ran on zeros: its folder holds no golden.json with observations. Where the model's time \
                             depends on what it sees, put some there and measure again."
                .to_owned()
        }
    };
    format!(
        "<p class=\"lead\">Measured by genba {} on {} in {} s. Each time runs from handing an inference to the worker's \
         thread until its result is back, as in <code>genba run</code>; only the bare session is timed without the way \
         there and back. {inputs}</p>",
        text(&record.origin.genba),
        date(record.origin.at_unix_s),
        record.origin.took_s,
    )
}

fn legend(record: &Record) -> String {
    let warm = record.scenes().iter().filter(|timed| timed.scene.warm_pause().is_some());
    let items = warm.map(|timed| format!("<li>{}{}</li>", swatch(timed.scene), text(&timed.scene.to_string())));
    format!("<ul class=\"legend\">{}</ul>", items.collect::<String>())
}

fn swatch(scene: Scene) -> String {
    let color = color(scene);
    format!("<i style=\"background: rgb({}, {}, {})\"></i>", color.0, color.1, color.2)
}

fn table(record: &Record) -> String {
    let heads = Quantile::STATED.map(|quantile| format!("<th>p{}</th>", percent(quantile))).concat();
    let rows = record.scenes().iter().map(|timed| {
        let (least, most) = timed.times_ns.range().unwrap_or((Duration::ZERO, Duration::ZERO));
        let cells = quantiles(timed).map(|cell| format!("<td>{}</td>", text(&cell)));
        format!(
            "<tr><th>{}{}</th><td>{}</td><td>{}</td>{}<td>{}</td></tr>\n",
            swatch(timed.scene),
            text(&timed.scene.to_string()),
            timed.times_ns.samples(),
            span(least),
            cells.concat(),
            span(most)
        )
    });
    let rows: String = rows.collect();
    format!(
        "<div class=\"wide\"><table class=\"figures\">\n<tr><th>scene</th><th>samples</th><th>least</th>{heads}<th>most</th></tr>\n\
         {rows}</table></div>\n<p class=\"note\">p99.9: of 1,000 inferences 999 took no longer. A dash: fewer than ten \
         samples lie beyond, so nothing is stated.{}</p>",
        cold(record)
    )
}

fn cold(record: &Record) -> String {
    let cold = record.scenes().iter().find(|timed| !timed.sequence_ns.is_empty());
    let Some(cold) = cold else { return String::new() };
    let first = cold.sequence_ns.iter().take(5).map(|nanos| span(Duration::from_nanos(*nanos)));
    format!(" The first inferences after the load took {}, in this order.", first.collect::<Vec<_>>().join(", "))
}

fn binding(record: &Record) -> String {
    let rows = record
        .binding
        .rows()
        .into_iter()
        .map(|(bound, value)| format!("<tr><th>{}</th><td>{}</td></tr>\n", text(bound.name()), text(&value)));
    format!(
        "<h2>What it holds for</h2>\n<p class=\"note\">All of this must be the same on the box that runs. If anything \
         differs, <code>genba check</code> says what, and the model counts as unmeasured.</p>\n<table \
         class=\"binding\">\n{}</table>",
        rows.collect::<String>()
    )
}

/// `2026-11-23 17:20 UTC`.
fn date(unix_s: u64) -> String {
    let (mut days, minutes) = (unix_s / 86_400, unix_s % 86_400 / 60);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02} UTC", days + 1, minutes / 60, minutes % 60)
}

/// An SVG file as an element of the page: inside HTML it needs no name space, and it scales.
fn inline(svg: &str) -> String {
    svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", " role=\"img\"", 1)
}

fn text(raw: &str) -> String {
    raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>genba: timing record</title>
<style>
body { margin: 0; background: #f3f4f6; color: #1f2937; }
body { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 16px 64px; }
h1 { margin: 0 0 16px; font-size: 28px; letter-spacing: -0.01em; }
h1 small { font-weight: 400; color: #6b7280; font-size: 16px; letter-spacing: 0; margin-left: 8px; }
h2 { margin: 32px 0 12px; font-size: 19px; }
.verdict { margin: 0 0 16px; padding: 14px 18px; border-radius: 8px; font-size: 18px; font-weight: 600; }
.verdict.held { background: #dcfce7; color: #14532d; }
.verdict.inconclusive { background: #fef3c7; color: #78350f; }
.lead { color: #4b5563; margin: 0 0 24px; }
.note { color: #6b7280; font-size: 14px; margin: 8px 0 24px; }
figure { margin: 0 0 16px; padding: 8px; background: #fff; border-radius: 8px; box-shadow: 0 1px 2px rgb(0 0 0 / 8%); }
figure svg { display: block; width: 100%; height: auto; font-family: system-ui, "DejaVu Sans", sans-serif; }
.legend { list-style: none; margin: 4px 0 8px; padding: 0 60px; font-size: 13px; display: flex; flex-wrap: wrap; }
.legend li { margin-right: 20px; white-space: nowrap; }
i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 7px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 0 16px; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; background: #fff; border-radius: 8px; overflow: hidden; }
table { box-shadow: 0 1px 2px rgb(0 0 0 / 8%); }
th, td { padding: 7px 10px; text-align: left; border-top: 1px solid #e5e7eb; font-weight: 400; vertical-align: top; }
tr:first-child th, tr:first-child td { border-top: 0; }
.figures { font-size: 14px; }
.figures td, .figures tr:first-child th { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures tr:first-child th { color: #6b7280; }
.figures tr th:first-child { text-align: left; white-space: nowrap; }
.binding th { white-space: nowrap; color: #6b7280; }
.binding td { overflow-wrap: anywhere; font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 14px; }
</style>
</head>
<body>
<main>
"#;

#[cfg(test)]
mod tests;
