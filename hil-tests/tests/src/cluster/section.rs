//! What a box's config says of one cluster at home, and the policy that lets it be asked.

use super::{Authority, Identity};

/// Who the tests' servers prove to be.
pub const TRITON: &str = "spiffe://factory.jp/gpu/triton";

/// The sections of journal, residency and the cluster `tokyo` in `jp`, for servers that are [`TRITON`] by this authority and
/// a box with this identity. The first model is what probes ask for, so often and for so long, in milliseconds.
///
/// # Panics
/// If no model is named.
#[must_use]
pub fn cluster_section(
    endpoints: &[String],
    models: &[&str],
    (jurisdiction, client): (&Authority, &Identity),
    probe_ms: (u64, u64),
) -> String {
    let (ca, certificate, key) = (jurisdiction.certificate(), client.certificate.display(), client.key.display());
    let proof = format!(
        "ca = \"{}\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nspiffe_ids = [\"{TRITON}\"]",
        ca.display()
    );
    section(endpoints, models, &proof, probe_ms)
}

/// The same for servers in plain text, which prove nothing.
///
/// # Panics
/// If no model is named.
#[must_use]
pub fn insecure_section(endpoints: &[String], models: &[&str], probe_ms: (u64, u64)) -> String {
    section(endpoints, models, "insecure = true", probe_ms)
}

fn section(endpoints: &[String], models: &[&str], proof: &str, (every_ms, timeout_ms): (u64, u64)) -> String {
    let probed = models.first().expect("a cluster is asked for something");
    format!(
        r#"
[journal]
folder = "journal"

[residency]
policy = "policy.toml"

[[cluster]]
name = "tokyo"
jurisdiction = "jp"
endpoints = {endpoints:?}
models = {models:?}
{proof}
probe = {{ model = "{probed}", every_ms = {every_ms}, timeout_ms = {timeout_ms} }}

"#
    )
}

/// A policy by which these kinds, each with its sensitivity, may go to the cluster `tokyo` at home, and nothing else.
#[must_use]
pub fn home_policy(allowed: &[(&str, &str)]) -> String {
    let rule = |(kind, sensitivity): &(&str, &str)| {
        format!(
            "\n[[rule]]\nid = \"{kind}\"\nkinds = [\"{kind}\"]\nsensitivities = [\"{sensitivity}\"]\nto = [\"home\"]\n\
             decision = \"allow\"\nwhy = \"the tests' data\"\n"
        )
    };
    let rules: Vec<_> = allowed.iter().map(rule).collect();
    let head = "version = 1\nhome = \"jp\"\n\n[[jurisdiction]]\nid = \"jp\"\nname = \"日本\"\nclusters = [\"tokyo\"]\n";
    format!("{head}{}", rules.concat())
}
