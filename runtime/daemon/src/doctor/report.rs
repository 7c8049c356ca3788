//! What the doctor found, for a person.

use std::fmt::Write as _;

use super::{
    Findings, ModelFound, NeedFound, ProviderFound,
    ways_out::{ClusterFound, Grade, IdentityFound, PolicyFound, Remark, State, StoreFound, WaysOut},
};

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
    if let Some(ways_out) = &findings.ways_out {
        write_ways_out(&mut row, ways_out);
    }
    for (number, step) in findings.install.iter().enumerate() {
        row(if number == 0 { "install" } else { "" }, &format!("{}. {step}", number + 1));
    }
    row(if findings.good { "good" } else { "bad       something is missing or wrong" }, "");
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

fn write_ways_out(row: &mut impl FnMut(&str, &str), found: &WaysOut) {
    for cluster in &found.clusters {
        let ClusterFound { cluster, jurisdiction, endpoints, insecure, identity, remarks } = cluster;
        let how = if *insecure { "INSECURE: in plain text, nobody proves anything" } else { "by mutual TLS" };
        row("cluster", &format!("{cluster} in {jurisdiction}, {how}, at {}; nothing was sent", endpoints.join(", ")));
        if let Some(identity) = identity {
            write_identity(row, identity);
        }
        write_remarks(row, remarks);
    }
    if let Some(PolicyFound { file, version, home, remarks, .. }) = &found.policy {
        let says = match (version, home) {
            (Some(version), Some(home)) => format!("version {version}, home {home}"),
            _ => "is none".to_owned(),
        };
        row("policy", &format!("{}: {says}", file.display()));
        write_remarks(row, remarks);
    }
    for (name, store) in [("journal", &found.journal), ("spool", &found.spool)] {
        let Some(StoreFound { path, state, key, key_state, remarks }) = store else { continue };
        let is = |state: &State| match state {
            State::There => "is there",
            State::ToBeMade => "is made at the first start",
            State::Unusable => "cannot be used",
        };
        row(name, &format!("{} {}", path.display(), is(state)));
        row("", &format!("its key {} {}", key.display(), is(key_state)));
        write_remarks(row, remarks);
    }
}

fn write_identity(row: &mut impl FnMut(&str, &str), found: &IdentityFound) {
    let IdentityFound { spiffe_id, certificate, certificate_until, ca, ca_until, allowed, .. } = found;
    let (certificate, ca) = (certificate.display(), ca.display());
    let own = spiffe_id.as_deref().unwrap_or("nobody that can be told");
    if let Some(until) = certificate_until {
        row("", &format!("this box is {own}: {certificate}, until {until}"));
    }
    if !ca_until.is_empty() {
        row("", &format!("its CA, and no other: {ca}, until {}", ca_until.join(", ")));
    }
    row("", &format!("its servers are {}", allowed.join(" or ")));
}

fn write_remarks(row: &mut impl FnMut(&str, &str), remarks: &[Remark]) {
    for Remark { grade, what, action } in remarks {
        let grade = match grade {
            Grade::Warning => "warning",
            Grade::Bad => "bad",
        };
        row("", &format!("{grade}: {what}"));
        row("", &format!("  {action}"));
    }
}
