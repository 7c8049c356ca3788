//! The run as one HTML page that needs nothing else: no script, no font, no picture from outside.

use std::fmt::Write as _;

use crate::plot::{PlotError, pictures};
use crate::recording::Recording;
use crate::summary::Summary;

/// The page.
///
/// # Errors
/// [`PlotError`] where the drawing library fails.
pub fn page(summary: &Summary, recording: &Recording) -> Result<String, PlotError> {
    let mut body = String::new();
    let mut say = |text: &str| {
        body.push_str(text);
        body.push('\n');
    };
    say(&format!("<p class=\"verdict {}\">{}</p>", summary.verdict, text(&summary.headline())));
    if !summary.reasons.is_empty() {
        say("<ul>");
        summary.reasons.iter().for_each(|reason| say(&format!("<li>{}</li>", text(reason))));
        say("</ul>");
    }
    say(&format!(
        "<p class=\"lead\">A simulated UR5e follows a part on a conveyor belt. Its physics runs at 1 kHz; 500 times a \
         second it asks genba, in another process, for torques from the model <b>{}</b> with a deadline of {} ms. \
         Half way through, the model is made to hang; genba then answers with \
         fallbacks, first the last torque, then a ramp to none.</p>",
        text(&summary.model),
        recording.deadline.as_secs_f64() * 1000.0,
    ));
    for (name, svg) in pictures(recording)? {
        say(&format!("<figure aria-label=\"{}\">{}</figure>", text(name), inline(&svg)));
    }
    say(&table(summary));
    Ok(format!("{HEAD}{body}</main>\n</body>\n</html>\n"))
}

fn table(summary: &Summary) -> String {
    let mut table = "<table>\n".to_owned();
    for row in summary.rows() {
        let class = if row.what.starts_with(' ') { " class=\"part\"" } else { "" };
        writeln!(
            table,
            "<tr{class}><th>{}</th><td>{}</td><td>{}</td></tr>",
            text(row.what.trim_start()),
            text(&row.value),
            text(&row.note)
        )
        .expect("writing to a String cannot fail");
    }
    table + "</table>"
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
<title>genba: the demo's run</title>
<style>
body { margin: 0; background: #f3f4f6; color: #1f2937; }
body { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 16px 64px; }
h1 { margin: 0 0 16px; font-size: 28px; letter-spacing: -0.01em; }
h1 small { font-weight: 400; color: #6b7280; font-size: 16px; letter-spacing: 0; margin-left: 8px; }
.verdict { margin: 0 0 16px; padding: 14px 18px; border-radius: 8px; font-size: 18px; font-weight: 600; }
.verdict.held { background: #dcfce7; color: #14532d; }
.verdict.broken { background: #fee2e2; color: #7f1d1d; }
.verdict.inconclusive { background: #fef3c7; color: #78350f; }
.lead { color: #4b5563; margin: 0 0 24px; }
figure { margin: 0 0 16px; padding: 8px; background: #fff; border-radius: 8px; box-shadow: 0 1px 2px rgb(0 0 0 / 8%); }
figure svg { display: block; width: 100%; height: auto; font-family: system-ui, "DejaVu Sans", sans-serif; }
table { width: 100%; border-collapse: collapse; background: #fff; border-radius: 8px; overflow: hidden; }
table { box-shadow: 0 1px 2px rgb(0 0 0 / 8%); }
th, td { padding: 7px 16px; text-align: left; border-top: 1px solid #e5e7eb; font-weight: 400; vertical-align: top; }
tr:first-child th, tr:first-child td { border-top: 0; }
td:nth-child(2) { text-align: right; font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }
td:nth-child(3) { color: #6b7280; }
.part th { padding-left: 36px; color: #6b7280; }
.part td { border-top-style: dotted; }
</style>
</head>
<body>
<main>
<h1>genba <small>the demo's run</small></h1>
"#;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use message::{Epoch, Sequence};

    use super::*;
    use crate::answer::{Answer, ReasonCode, What};
    use crate::clock::Moment;
    use crate::plot::plot;
    use crate::robot::Event;
    use crate::summary::tests::summary;

    /// Two seconds with a hang of 200 ms.
    fn recording() -> Recording {
        let mut recording = Recording::new(Duration::from_secs(2), Duration::from_millis(8), Duration::from_millis(1));
        for now_ms in (0..2000_u32).step_by(2) {
            let at = Moment::from_nanos(u64::from(now_ms) * 1_000_000);
            let hangs = (1000..1200).contains(&now_ms);
            recording.note(Event::Woke { due: at, late: Duration::from_micros(30) });
            recording.note(Event::Tracked { now_ms, error_m: if hangs { 0.0009 } else { 0.0003 } });
            recording.note(Event::Sent { at });
            if now_ms == 1000 {
                recording.note(Event::Hung { now_ms, asked_ms: 200 });
            }
            let late = hangs && now_ms % 8 == 0;
            let wait = Duration::from_micros(if late { 7500 } else { 280 + u64::from(now_ms % 7) * 20 });
            let torque = [0.0; 6];
            let what = if late { What::Fallback(ReasonCode::new(301), torque) } else { What::Model(torque) };
            let sequence = Sequence::new(u64::from(now_ms / 2 + 1));
            let answer = Answer { at: at + wait, epoch: Epoch::new(1), sequence, sent_at: at, age: wait, what };
            if !hangs || late {
                recording.note(Event::Answered { answer, now_ms });
            }
        }
        recording
    }

    #[test]
    fn the_page_needs_nothing_from_outside() {
        let recording = recording();
        let page = page(&summary(&recording), &recording).expect("it can be drawn");
        for outside in ["http:", "https:", "//", "<script", "@import", "url(", "src=", "href="] {
            assert!(!page.contains(outside), "the page holds {outside}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("E-301 late"));
        assert!(page.contains("deadline 8.00 ms"));
        assert!(page.contains("the model hangs"));
    }

    #[test]
    fn the_page_and_the_plot_are_well_formed() {
        let recording = recording();
        well_formed(&page(&summary(&recording), &recording).expect("it can be drawn"));
        let plot = plot(&recording).expect("it can be drawn");
        well_formed(&plot);
        assert!(plot.contains("xmlns"), "a file needs its name space");
    }

    #[test]
    fn an_empty_run_has_a_page() {
        let recording = Recording::new(Duration::from_secs(1), Duration::from_millis(8), Duration::from_millis(1));
        well_formed(&page(&summary(&recording), &recording).expect("it can be drawn"));
    }

    #[test]
    fn names_cannot_break_out() {
        assert_eq!(text("<b>\"&"), "&lt;b&gt;&quot;&amp;");
    }

    /// Every element that is opened is closed, in order; attributes are quoted.
    fn well_formed(page: &str) {
        let mut open = Vec::new();
        for tag in page.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("a tag ends");
            assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
            let name = tag.trim_start_matches('/').split_whitespace().next().unwrap_or_default();
            match tag {
                _ if tag.starts_with('!') || tag.ends_with('/') || name == "meta" => {}
                _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "</{name}>"),
                _ => open.push(name),
            }
        }
        assert_eq!(open, Vec::<&str>::new());
    }
}
