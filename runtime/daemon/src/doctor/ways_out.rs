//! What the box hands off by, as far as its files tell: credentials, policy, journal and spool.
//!
//! **Nothing is sent, and nothing is changed.** Not even a probe may leave without a rule and a record, which are the running
//! box's: whether a cluster answers is what `genba status` says.

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use cluster_link::{Inspection, Mutual, Own, SpiffeId, Validity};
use engine::Reason;
use journal::{
    chain::{self, BoxKey, KeyError, rfc3339},
    spool,
};
use miette::Diagnostic as _;
use serde::Serialize;

use crate::{
    access::{self, Folder},
    config::{ClusterConfig, Config, IdentityConfig, JournalConfig, SpoolConfig},
    residency::Policy,
    timing::hex,
};

/// From then on an end is told: a factory's certificates are renewed by people.
const RENEW_DAYS: i64 = 30;
const DAY_S: i64 = 86_400;

/// What a config declares of it.
#[derive(Debug, Serialize)]
pub(super) struct WaysOut {
    pub(super) clusters: Vec<ClusterFound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<PolicyFound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) journal: Option<StoreFound>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) spool: Option<StoreFound>,
}

#[derive(Debug, Serialize)]
pub(super) struct ClusterFound {
    pub(super) cluster: String,
    pub(super) jurisdiction: String,
    pub(super) endpoints: Vec<String>,
    /// In plain text, and nobody proves anything.
    pub(super) insecure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<IdentityFound>,
    pub(super) remarks: Vec<Remark>,
}

/// The box's own proof, and whose it accepts.
#[derive(Debug, Serialize)]
pub(super) struct IdentityFound {
    /// None where the certificate does not tell.
    pub(super) spiffe_id: Option<String>,
    pub(super) certificate: PathBuf,
    /// The last day in UTC.
    pub(super) certificate_until: Option<String>,
    pub(super) key: PathBuf,
    pub(super) ca: PathBuf,
    /// Each of the file's.
    pub(super) ca_until: Vec<String>,
    /// Whom a server may be.
    pub(super) allowed: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct PolicyFound {
    pub(super) file: PathBuf,
    pub(super) version: Option<u64>,
    pub(super) sha256: Option<String>,
    pub(super) home: Option<String>,
    pub(super) remarks: Vec<Remark>,
}

/// The journal or the spool.
#[derive(Debug, Serialize)]
pub(super) struct StoreFound {
    pub(super) path: PathBuf,
    pub(super) state: State,
    pub(super) key: PathBuf,
    pub(super) key_state: State,
    pub(super) remarks: Vec<Remark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    There,
    /// The first start makes it.
    ToBeMade,
    /// A remark says why.
    Unusable,
}

/// What is to be done about something.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Remark {
    pub(super) grade: Grade,
    pub(super) what: String,
    pub(super) action: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Grade {
    /// It works, as yet or not as it should.
    Warning,
    /// It does not work.
    Bad,
}

impl WaysOut {
    /// None where the config declares nothing that leaves.
    pub(super) fn look(config: &Config, now: SystemTime) -> Option<Self> {
        let policy = config.policy.as_deref().map(|path| (path, Policy::load(path)));
        let in_force = policy.as_ref().and_then(|(_, policy)| policy.as_ref().ok());
        let now_s = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now_s = i64::try_from(now_s).unwrap_or(i64::MAX);
        let found = Self {
            clusters: config.clusters.iter().map(|cluster| ClusterFound::look(cluster, in_force, now_s)).collect(),
            journal: config.journal.as_ref().map(StoreFound::journal),
            spool: config.spool.as_ref().map(StoreFound::spool),
            policy: policy.map(|(path, policy)| PolicyFound::of(path, policy)),
        };
        let is_empty =
            found.clusters.is_empty() && found.policy.is_none() && found.journal.is_none() && found.spool.is_none();
        (!is_empty).then_some(found)
    }

    /// Whether all of it works.
    pub(super) fn is_good(&self) -> bool {
        let clusters = self.clusters.iter().flat_map(|cluster| &cluster.remarks);
        let policy = self.policy.iter().flat_map(|policy| &policy.remarks);
        let stores = self.journal.iter().chain(&self.spool).flat_map(|store| &store.remarks);
        clusters.chain(policy).chain(stores).all(|remark| remark.grade != Grade::Bad)
    }
}

impl ClusterFound {
    fn look(cluster: &ClusterConfig, policy: Option<&Policy>, now_s: i64) -> Self {
        let mut remarks = Vec::new();
        if cluster.identity.is_none() {
            let row = Reason::LinkInsecure.row();
            remarks.push(warning(format!("{}: {}", Reason::LinkInsecure, row.what), row.action));
        }
        if policy.is_some_and(|policy| policy.cluster(&cluster.name, &cluster.jurisdiction).is_none()) {
            let what = format!("the policy lists no cluster {} in {}", cluster.name, cluster.jurisdiction);
            remarks.push(bad(what, "list it there if it stands there; until then nothing may go to it"));
        }
        let identity = cluster.identity.as_ref().map(|identity| IdentityFound::look(identity, &mut remarks, now_s));
        Self {
            cluster: cluster.name.clone(),
            jurisdiction: cluster.jurisdiction.clone(),
            endpoints: cluster.endpoints.iter().map(ToString::to_string).collect(),
            insecure: cluster.identity.is_none(),
            identity,
            remarks,
        }
    }
}

impl IdentityFound {
    fn look(identity: &IdentityConfig, remarks: &mut Vec<Remark>, now_s: i64) -> Self {
        let mut allow = Vec::new();
        for id in &identity.spiffe_ids {
            match id.parse::<SpiffeId>() {
                Ok(id) => allow.push(id),
                Err(why) => remarks.push(bad(format!("spiffe_ids: {why}"), "correct it in the config")),
            }
        }
        let IdentityConfig { ca, certificate, key, .. } = identity;
        let files = Mutual { ca: ca.clone(), certificate: certificate.clone(), key: key.clone(), allow };
        let found = files.inspect();
        judge(&files, &found, remarks, now_s);
        let until = |validity: &Validity| day(validity.until_s);
        Self {
            spiffe_id: found.own.as_ref().ok().and_then(|own| own.uri.clone().ok()),
            certificate: files.certificate,
            certificate_until: found.own.as_ref().ok().map(|own| until(&own.validity)),
            key: files.key,
            ca: files.ca,
            ca_until: found.ca.iter().flatten().map(until).collect(),
            allowed: identity.spiffe_ids.clone(),
        }
    }
}

/// What is wrong with the files, or will be.
fn judge(files: &Mutual, found: &Inspection, remarks: &mut Vec<Remark>, now_s: i64) {
    const PUT: &str = "put the file there, in PEM, readable for the user that the box runs as";
    let is_certificate_good = found.own.is_ok();
    match &found.own {
        Err(why) => remarks.push(bad(format!("certificate: {why}"), PUT)),
        Ok(own) => judge_own(files, own, remarks, now_s),
    }
    match &found.pair {
        // Of a certificate that cannot be read all is said.
        Err(why) if is_certificate_good => {
            let action =
                "put the key there that the certificate was made for, readable for the user that the box runs as";
            remarks.push(bad(format!("key: {why}"), action));
        }
        Err(_) | Ok(()) => {}
    }
    if let Some(mode) = found.exposed {
        let what = format!("key: {} may be read by others (mode {mode:03o})", files.key.display());
        remarks.push(warning(what, "chmod 600 it, and replace it if somebody may have read it"));
    }
    match &found.ca {
        Err(why) => remarks.push(bad(format!("ca: {why}"), PUT)),
        Ok(validities) => {
            for validity in validities {
                let what = format!("ca: {}", files.ca.display());
                remarks.extend(ends(&what, *validity, now_s));
            }
        }
    }
}

fn judge_own(files: &Mutual, own: &Own, remarks: &mut Vec<Remark>, now_s: i64) {
    let what = format!("certificate: {}", files.certificate.display());
    let renewed = "let the box's CA issue one with exactly one URI, its SPIFFE id";
    match &own.uri {
        Ok(uri) if uri.parse::<SpiffeId>().is_err() => {
            remarks.push(bad(format!("{what} names {uri}, which is no SPIFFE id"), renewed));
        }
        Ok(_) => {}
        Err(why) => remarks.push(bad(format!("{what}: {why}"), renewed)),
    }
    if !own.is_for_clients {
        let what = format!("{what} is not for client authentication, so servers refuse it");
        remarks.push(bad(what, "let the box's CA issue one with that extended key usage"));
    }
    if !own.is_of_pinned_ca {
        let what = format!("{what} is not of the pinned CA: a server that trusts that one alone refuses it");
        remarks.push(warning(what, "nothing, if the servers trust the CA that issued it"));
    }
    remarks.extend(ends(&what, own.validity, now_s));
}

/// What is to be said of a certificate's time.
fn ends(what: &str, validity: Validity, now_s: i64) -> Option<Remark> {
    const RENEW: &str = "renew it: the box reads the new file at its next connection, without a restart";
    let Validity { from_s, until_s } = validity;
    let days = (until_s - now_s) / DAY_S;
    if now_s < from_s {
        let action = "look at this machine's clock and the issuer's; until then servers refuse it";
        return Some(bad(format!("{what} is not valid before {}", day(from_s)), action));
    }
    if now_s > until_s {
        return Some(bad(format!("{what} is over since {}", day(until_s)), RENEW));
    }
    (days < RENEW_DAYS).then(|| warning(format!("{what} ends on {}, in {days} days", day(until_s)), RENEW))
}

impl PolicyFound {
    fn of(file: &Path, policy: Result<Policy, crate::residency::PolicyError>) -> Self {
        let file = file.to_owned();
        match policy {
            Ok(policy) => Self {
                file,
                version: Some(policy.version),
                sha256: Some(hex(&policy.digest)),
                home: Some(policy.home().0.to_owned()),
                remarks: Vec::new(),
            },
            Err(why) => {
                let action = why.help().map_or_else(|| "correct it".to_owned(), |help| help.to_string());
                let remarks = vec![bad(format!("{why}; nothing leaves until then"), &action)];
                Self { file, version: None, sha256: None, home: None, remarks }
            }
        }
    }
}

impl StoreFound {
    fn journal(config: &JournalConfig) -> Self {
        let JournalConfig { folder, key, anchors, .. } = config;
        let mut remarks = Vec::new();
        let has_records = chain::list(folder).is_ok_and(|files| !files.is_empty());
        let state = state(has_records, writable(folder, "nothing leaves the box without a record"), &mut remarks);
        let key_state = match BoxKey::read(key) {
            Ok(_) => State::There,
            Err(KeyError::Missing { .. }) if !has_records => {
                self::state(false, writable(parent(key), "the journal's key is made there"), &mut remarks)
            }
            Err(why) => unusable(&why, &mut remarks),
        };
        for anchor in anchors {
            let refused = writable(parent(anchor), "signed heads are copied there");
            remarks.extend(refused.map(|refused| Remark { grade: Grade::Warning, ..refused }));
        }
        Self { path: folder.clone(), state, key: key.clone(), key_state, remarks }
    }

    fn spool(config: &SpoolConfig) -> Self {
        let SpoolConfig { file, key, .. } = config;
        let mut remarks = Vec::new();
        let is_locked = file.exists() && !access::may_write(file);
        let refused = is_locked.then(|| {
            let what = format!("{}: this user may not write to it", file.display());
            bad(what, "give it to the user that the box runs as")
        });
        let refused = refused.or_else(|| writable(parent(file), "durable requests are stored there"));
        let state = state(file.exists(), refused, &mut remarks);
        let key_state = match spool::has_key(key, file) {
            Ok(true) => State::There,
            Ok(false) => State::ToBeMade,
            Err(why) => unusable(&why, &mut remarks),
        };
        Self { path: file.clone(), state, key: key.clone(), key_state, remarks }
    }
}

fn state(is_there: bool, refused: Option<Remark>, remarks: &mut Vec<Remark>) -> State {
    match refused {
        Some(refused) => {
            remarks.push(refused);
            State::Unusable
        }
        None if is_there => State::There,
        None => State::ToBeMade,
    }
}

fn unusable(why: &impl Error, remarks: &mut Vec<Remark>) -> State {
    remarks.push(bad(why.to_string(), "until then the box does not start"));
    State::Unusable
}

/// Why files cannot be made in a folder, and what for.
fn writable(folder: &Path, purpose: &str) -> Option<Remark> {
    let what = match access::folder(folder) {
        Folder::Writable | Folder::ToBeMade => return None,
        Folder::Denied(at) if at == folder => format!("{}: this user may not write there", folder.display()),
        Folder::Denied(at) => format!("{}: this user may not write in {}", folder.display(), at.display()),
        Folder::Blocked(at) if at == folder => format!("{} is no folder", folder.display()),
        Folder::Blocked(at) => format!("{}: {} is no folder", folder.display(), at.display()),
    };
    let action = format!("{purpose}: give the folder to the user that the box runs as, or name another one");
    Some(bad(what, &action))
}

fn parent(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

/// A second's day in UTC, with its time.
fn day(seconds: i64) -> String {
    let nanos = u64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1_000_000_000));
    let Some(nanos) = nanos else { return if seconds < 0 { "before 1970" } else { "2554 or later" }.to_owned() };
    let text = rfc3339(nanos);
    text.get(..19).map_or_else(|| text.clone(), |to_the_second| format!("{to_the_second}Z"))
}

fn warning(what: String, action: &str) -> Remark {
    Remark { grade: Grade::Warning, what, action: action.to_owned() }
}

fn bad(what: String, action: &str) -> Remark {
    Remark { grade: Grade::Bad, what, action: action.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-29T00:00:00Z.
    const NOW_S: i64 = 1_795_910_400;

    fn said(from_days: i64, until_days: i64) -> Option<(Grade, String)> {
        let validity = Validity { from_s: NOW_S + from_days * DAY_S, until_s: NOW_S + until_days * DAY_S };
        ends("certificate: box.pem", validity, NOW_S).map(|remark| (remark.grade, remark.what))
    }

    #[test]
    fn an_end_is_told_a_month_before() {
        assert_eq!(said(-1, 30), None);
        let what = "certificate: box.pem ends on 2026-12-28T00:00:00Z, in 29 days".to_owned();
        assert_eq!(said(-1, 29), Some((Grade::Warning, what)));
        let what = "certificate: box.pem is over since 2026-11-28T00:00:00Z".to_owned();
        assert_eq!(said(-9, -1), Some((Grade::Bad, what)));
        let what = "certificate: box.pem is not valid before 2026-11-30T00:00:00Z".to_owned();
        assert_eq!(said(1, 90), Some((Grade::Bad, what)));
    }

    #[test]
    fn certificates_that_hold_for_ever_do_not_overflow() {
        assert_eq!(day(253_402_300_799), "2554 or later", "the end of 9999, by which X.509 says: without an end");
        assert_eq!(day(-1), "before 1970");
        assert_eq!(ends("", Validity { from_s: 0, until_s: 253_402_300_799 }, NOW_S), None);
    }
}
