//! What the doctor found, for a person.

use std::fmt::Write as _;

use super::{Findings, ModelFound, NeedFound, ProviderFound};

pub(super) fn human(findings: &Findings) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10}{}", value.replace('\n', "\n          "));
    };
    row("machine", &findings.machine);
    row("driver", findings.driver.as_deref().unwrap_or("no Nvidia driver runs here"));
    for gpu in &findings.gpus {
        row("gpu", gpu);
    }
    if findings.gpus.is_empty() {
        row("gpu", "none of Nvidia's");
    }
    let library =
        findings.library.as_ref().map(|found| format!("ONNX Runtime {} from {}", found.version, found.path.display()));
    row("library", library.as_ref().or(findings.no_library.as_ref()).map_or("none", String::as_str));
    row("realtime", &findings.realtime);
    for ProviderFound { provider, usable, said, shipped, needs } in &findings.providers {
        let said = match (usable, shipped, said) {
            (true, ..) => "can be used".to_owned(),
            (false, false, _) => "cannot be used: this ONNX Runtime does not bring it".to_owned(),
            (false, true, said) => format!("cannot be used: {}", said.as_deref().unwrap_or_default()),
        };
        row("provider", &format!("{provider} {said}"));
        for NeedFound { library, part, opens, detail } in needs {
            row(
                "",
                &if *opens { format!("{library} of {part} opens") } else { format!("{library} of {part} {detail}") },
            );
        }
    }
    for ModelFound { model, listed, provider, passed } in &findings.models {
        let on = provider.as_ref().map_or_else(
            || format!("no provider of {} holds all of it", listed.join(", ")),
            |provider| format!("{provider} holds all of it"),
        );
        row("model", &format!("{model}: {on}"));
        for passed in passed {
            row("", passed);
        }
    }
    for (number, step) in findings.install.iter().enumerate() {
        row(if number == 0 { "install" } else { "" }, &format!("{}. {step}", number + 1));
    }
    row(if findings.good { "good" } else { "bad       something is missing" }, "");
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}
