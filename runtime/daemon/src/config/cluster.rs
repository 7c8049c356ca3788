//! The clusters that models are asked of, and the journal without which nothing leaves the box, checked.
//!
//! A cluster's lanes are workers of the engine that come after the box's own. A model is either on the box's workers or
//! on the lanes of one cluster, never on both: a response's place is what its task declares.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, ModelConfig, check::find_model, error::File};

/// The most requests of one cluster that may be in flight: each has a thread of its own.
const MAX_LANES: usize = 16;
/// The largest request or answer that is taken, unless the config says less.
const MAX_BYTES: usize = 64 << 20;

/// One cluster: who it must prove to be, where it is, and what is asked of it.
#[derive(Debug)]
pub(crate) struct ClusterConfig {
    pub(crate) name: String,
    /// As the residency policy names it.
    pub(crate) jurisdiction: String,
    pub(crate) endpoints: Vec<SocketAddr>,
    /// `None`: in plain text, to loopback only.
    pub(crate) identity: Option<IdentityConfig>,
    /// Places in the config's models.
    pub(crate) models: Vec<usize>,
    /// How many requests may be in flight.
    pub(crate) lanes: usize,
    pub(crate) probe: ProbeConfig,
    /// No longer answer is read.
    pub(crate) max_answer_bytes: usize,
}

/// How both sides prove who they are.
#[derive(Debug)]
pub(crate) struct IdentityConfig {
    /// The jurisdiction's certificate authority, and no other.
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Which identities a server may have.
    pub(crate) spiffe_ids: Vec<String>,
}

/// What is asked to find out whether an endpoint answers: synthetic values, all zero.
#[derive(Debug)]
pub(crate) struct ProbeConfig {
    /// Its place in the config's models.
    pub(crate) model: usize,
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
}

/// Where the journal is kept.
#[derive(Debug)]
pub(crate) struct JournalConfig {
    pub(crate) folder: PathBuf,
    /// The box's key, which signs the heads; made at the first start.
    pub(crate) key: PathBuf,
    /// Where signed heads are copied to: best on another machine's disk.
    pub(crate) anchors: Vec<PathBuf>,
    /// A head is signed each so many records.
    pub(crate) sign_every: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCluster {
    name: Spanned<String>,
    jurisdiction: Spanned<String>,
    endpoints: Spanned<Vec<Spanned<String>>>,
    models: Spanned<Vec<Spanned<String>>>,
    lanes: Option<Spanned<usize>>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    spiffe_ids: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    insecure: bool,
    probe: RawProbe,
    max_answer_bytes: Option<Spanned<usize>>,
}

impl RawCluster {
    /// Its name, and where it stands.
    pub(super) fn name(&self) -> &Spanned<String> {
        &self.name
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProbe {
    model: Spanned<String>,
    every_ms: Spanned<u64>,
    timeout_ms: Spanned<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJournal {
    folder: PathBuf,
    key: Option<PathBuf>,
    #[serde(default)]
    anchors: Vec<PathBuf>,
    sign_every: Option<Spanned<u32>>,
}

/// All clusters; a journal is there where there are any.
pub(super) fn check_clusters(
    file: &File<'_>,
    models: &[ModelConfig],
    clusters: Vec<RawCluster>,
    journal: Option<RawJournal>,
) -> Result<(Vec<ClusterConfig>, Option<JournalConfig>), ConfigError> {
    file.unique("cluster", clusters.iter().map(|cluster| &cluster.name))?;
    if let (Some(first), None) = (clusters.first(), &journal) {
        let what = "nothing leaves the box without a record, and there is no [journal]".to_owned();
        return Err(file.at(&first.name, what, "declare [journal] with its folder"));
    }
    let mut checked: Vec<ClusterConfig> = Vec::with_capacity(clusters.len());
    for cluster in clusters {
        for named in cluster.models.get_ref() {
            let place = find_model(file, models, named)?;
            if let Some(other) = checked.iter().find(|other| other.models.contains(&place)) {
                let what = format!("the model {:?} is asked of the cluster {:?} already", named.get_ref(), other.name);
                return Err(file.at(
                    named,
                    what,
                    "a model has one place: list both clusters' endpoints as one cluster",
                ));
            }
        }
        checked.push(check_cluster(file, models, cluster)?);
    }
    let journal = journal.map(|journal| check_journal(file, journal)).transpose()?;
    Ok((checked, journal))
}

fn check_cluster(file: &File<'_>, models: &[ModelConfig], raw: RawCluster) -> Result<ClusterConfig, ConfigError> {
    let name = file.chunk(&raw.name)?;
    let jurisdiction = file.chunk(&raw.jurisdiction)?;
    if raw.endpoints.get_ref().is_empty() || raw.models.get_ref().is_empty() {
        let what = format!("the cluster {name:?} has no endpoint or no model");
        return Err(file.at(&raw.name, what, "name at least one of each"));
    }
    let endpoints = raw.endpoints.get_ref().iter().map(|endpoint| check_endpoint(file, endpoint));
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
    let identity = check_identity(file, &raw, &endpoints)?;
    let lanes = raw.lanes.as_ref().map_or(1, |lanes| *lanes.get_ref());
    if let Some(lanes) = raw.lanes.filter(|lanes| !(1..=MAX_LANES).contains(lanes.get_ref())) {
        let what = format!("{} requests in flight", lanes.get_ref());
        return Err(file.at(&lanes, what, &format!("choose between 1 and {MAX_LANES}")));
    }
    let max_answer_bytes = raw.max_answer_bytes.as_ref().map_or(MAX_BYTES, |most| *most.get_ref());
    if let Some(most) = raw.max_answer_bytes.filter(|most| !(1..=MAX_BYTES).contains(most.get_ref())) {
        let what = format!("answers of up to {} bytes", most.get_ref());
        return Err(file.at(&most, what, &format!("choose between 1 and {MAX_BYTES}")));
    }
    let probe = check_probe(file, models, &raw.probe)?;
    let models = raw.models.get_ref().iter().map(|model| find_model(file, models, model));
    let models = models.collect::<Result<_, _>>()?;
    Ok(ClusterConfig { name, jurisdiction, endpoints, identity, models, lanes, probe, max_answer_bytes })
}

/// A pinned address: a name would be looked up by whoever answers on the network.
fn check_endpoint(file: &File<'_>, endpoint: &Spanned<String>) -> Result<SocketAddr, ConfigError> {
    endpoint.get_ref().parse().map_err(|_| {
        let what = format!("{:?} is no address with a port", endpoint.get_ref());
        file.at(endpoint, what, "write such as \"10.20.0.5:8001\"; no name is ever looked up")
    })
}

fn check_identity(
    file: &File<'_>,
    raw: &RawCluster,
    endpoints: &[SocketAddr],
) -> Result<Option<IdentityConfig>, ConfigError> {
    let given = (&raw.ca, &raw.certificate, &raw.key, &raw.spiffe_ids);
    if raw.insecure {
        if !matches!(given, (None, None, None, None)) {
            let what = "insecure = true beside an identity".to_owned();
            return Err(file.at(&raw.name, what, "leave out one of them: an insecure link proves nothing"));
        }
        if let Some(far) = endpoints.iter().find(|endpoint| !endpoint.ip().is_loopback()) {
            let what = format!("insecure = true with {far}, which is not this machine");
            return Err(file.at(&raw.endpoints, what, "plain text is for loopback only"));
        }
        return Ok(None);
    }
    let (Some(ca), Some(certificate), Some(key), Some(ids)) = given else {
        let what = format!("the cluster {:?} proves no identity", raw.name.get_ref());
        return Err(file.at(&raw.name, what, "declare ca, certificate, key and spiffe_ids"));
    };
    if ids.get_ref().is_empty() {
        return Err(file.at(ids, "no identity is allowed".to_owned(), "name at least one SPIFFE id"));
    }
    if let Some(bad) = ids.get_ref().iter().find(|id| !id.get_ref().starts_with("spiffe://")) {
        let what = format!("{:?} is no SPIFFE id", bad.get_ref());
        return Err(file.at(bad, what, "write such as \"spiffe://factory.example/jp/triton\""));
    }
    Ok(Some(IdentityConfig {
        ca: file.in_folder(ca),
        certificate: file.in_folder(certificate),
        key: file.in_folder(key),
        spiffe_ids: ids.get_ref().iter().map(|id| id.get_ref().clone()).collect(),
    }))
}

fn check_probe(file: &File<'_>, models: &[ModelConfig], probe: &RawProbe) -> Result<ProbeConfig, ConfigError> {
    let model = find_model(file, models, &probe.model)?;
    let within = |given: &Spanned<u64>| {
        if (10..=60_000).contains(given.get_ref()) {
            return Ok(Duration::from_millis(*given.get_ref()));
        }
        Err(file.at(given, format!("a probe's {} ms", given.get_ref()), "choose between 10 ms and 60000 ms"))
    };
    Ok(ProbeConfig { model, every: within(&probe.every_ms)?, timeout: within(&probe.timeout_ms)? })
}

fn check_journal(file: &File<'_>, journal: RawJournal) -> Result<JournalConfig, ConfigError> {
    let sign_every = journal.sign_every.as_ref().map_or(64, |every| *every.get_ref());
    if let Some(every) = journal.sign_every.filter(|every| !(1..=65_536).contains(every.get_ref())) {
        let what = format!("a signature each {} records", every.get_ref());
        return Err(file.at(&every, what, "choose between 1 and 65536; 64 is the default"));
    }
    Ok(JournalConfig {
        folder: file.in_folder(&journal.folder),
        key: file.in_folder(&journal.key.unwrap_or_else(|| journal.folder.join("box.key"))),
        anchors: journal.anchors.iter().map(|path| file.in_folder(path)).collect(),
        sign_every,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, ConfigError};

    const EXAMPLE: &str = include_str!("../../config/example.toml");

    /// The example with its commented journal and cluster, and a model for that.
    fn written() -> String {
        let commented = EXAMPLE.lines().skip_while(|line| *line != "#     [journal]");
        let commented = commented.take_while(|line| !line.starts_with("# Endpoints are addresses"));
        let lines = commented.filter_map(|line| line.strip_prefix("#     "));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        format!(
            "{EXAMPLE}{text}[residency]\npolicy = \"policy.toml\"\n[[model]]\nname = \"reader\"\nfolder = \"reader\"\n"
        )
    }

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("box.toml"), text)
    }

    /// The error after a change where it is written last: the example holds it as a comment, too.
    fn refused(from: &str, to: &str) -> String {
        let text = written();
        let (before, after) = text.rsplit_once(from).expect("it is there");
        parse(&format!("{before}{to}{after}")).expect_err("it is refused").to_string()
    }

    #[test]
    fn commented_cluster_is_good_and_takes_its_model_from_the_workers() {
        let config = parse(&written()).expect("it is good");
        let [cluster] = &config.clusters[..] else { panic!("{config:?}") };
        assert_eq!((cluster.lanes, cluster.endpoints.len(), &cluster.models[..]), (2, 2, &[1][..]));
        assert_eq!(config.workers_and_lanes(), config.workers.len() + 2);
        assert_eq!(config.workers[1].models, [0], "a worker without a list has all but the cluster's");
        assert_eq!(config.worker_name(config.workers.len()), Some("tokyo"));
        assert_eq!(config.journal.map(|journal| journal.sign_every), Some(64));
    }

    #[test]
    fn what_proves_nothing_or_is_looked_up_is_refused() {
        assert!(refused("\"10.20.0.5:8001\"", "\"triton.example:8001\"").contains("is no address with a port"));
        assert!(refused("ca = \"pki/jp-ca.pem\"\n", "").contains("proves no identity"));
        assert!(refused("ca = \"pki/jp-ca.pem\"", "insecure = true").contains("insecure = true beside an identity"));
        assert!(refused("[\"spiffe://factory.example/jp/triton\"]", "[]").contains("no identity is allowed"));
        assert!(refused("[\"spiffe://factory.example/jp/triton\"]", "[\"triton\"]").contains("is no SPIFFE id"));
        let identity = written();
        let begins = identity.rfind("ca = \"pki").expect("it is there");
        let ends = identity.rfind("probe = ").expect("it is there");
        let plain = format!("{}insecure = true\n{}", &identity[..begins], &identity[ends..]);
        let told = parse(&plain).expect_err("it is refused").to_string();
        assert!(told.contains("insecure = true with 10.20.0.5:8001, which is not this machine"), "{told}");
        let near = plain.replace("10.20.0.5", "127.0.0.1").replace("10.20.0.6", "127.0.0.1");
        assert!(parse(&near).expect("loopback may be in plain text").clusters[0].identity.is_none());
    }

    #[test]
    fn a_cluster_without_a_journal_is_refused() {
        let text = written();
        let begins = text.rfind("[journal]").expect("it is there");
        let ends = text.rfind("[[cluster]]").expect("it is there");
        let told = parse(&format!("{}{}", &text[..begins], &text[ends..])).expect_err("it is refused").to_string();
        assert!(told.contains("there is no [journal]"), "{told}");
    }

    #[test]
    fn a_model_has_one_place() {
        let told = refused("models = [\"ur5e-conveyor\"]", "models = [\"ur5e-conveyor\", \"reader\"]");
        assert!(told.contains("the model \"reader\" is asked of the cluster \"tokyo\""), "{told}");
        let twice = written().replace("[[model]]\nname = \"reader\"", "[[cluster]]\nname = \"osaka\"\njurisdiction = \"jp\"\nendpoints = [\"127.0.0.1:1\"]\nmodels = [\"reader\"]\ninsecure = true\nprobe = { model = \"reader\", every_ms = 10, timeout_ms = 10 }\n[[model]]\nname = \"reader\"");
        let told = parse(&twice).expect_err("it is refused").to_string();
        assert!(told.contains("is asked of the cluster \"tokyo\" already"), "{told}");
    }
}
