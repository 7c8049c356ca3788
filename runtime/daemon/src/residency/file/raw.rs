//! A policy as it is written, and what is made of it; the first thing that is wrong is the error.

use std::sync::Arc;

use engine::residency::{
    ClassError, Decision, Destination, FieldId, Kind, MAX_DROPS, MAX_JURISDICTIONS, Minimisation, Rule, Sensitivity,
    Set,
};
use serde::Deserialize;
use toml::Spanned;

use super::{Listed, Policy, at, digest};
use crate::config::{ConfigError, File};

/// The most rules of a policy: more than anyone reads.
const MAX_RULES: usize = 1_024;
/// Everything of its list; only what denies may say so.
const ANY: &str = "any";
/// The home jurisdiction, as a destination.
const HOME: &str = "home";
/// The ways out that are no cluster, as a policy names them.
pub(super) const WAYS: [(&str, Destination); 5] = [
    ("router", Destination::Router),
    ("ros", Destination::Ros),
    ("metrics", Destination::Metrics),
    ("traces", Destination::Traces),
    ("recording", Destination::Recording),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    version: Spanned<u64>,
    home: Spanned<String>,
    #[serde(default)]
    jurisdiction: Vec<RawJurisdiction>,
    #[serde(default)]
    rule: Vec<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJurisdiction {
    id: Spanned<String>,
    name: String,
    clusters: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: Spanned<String>,
    kinds: Spanned<Vec<Spanned<String>>>,
    sensitivities: Spanned<Vec<Spanned<String>>>,
    to: Spanned<Vec<Spanned<String>>>,
    decision: Spanned<RawDecision>,
    drop: Option<Spanned<Vec<Spanned<String>>>>,
    why: Spanned<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawDecision {
    Allow,
    Deny,
}

/// Parses and checks a policy.
pub(super) fn parse(file: &File<'_>) -> Result<Policy, ConfigError> {
    let raw: RawPolicy = toml::from_str(file.text).map_err(|error| {
        file.error(
            error.span().unwrap_or(0..0),
            error.message().to_owned(),
            Some("`genba policy template jp` shows one"),
        )
    })?;
    if *raw.version.get_ref() == 0 {
        return Err(file.at(&raw.version, "a version of 0".to_owned(), "begin with 1, and raise it with each change"));
    }
    let jurisdictions = check_jurisdictions(file, raw.jurisdiction)?;
    if !jurisdictions.iter().any(|listed| listed.id == *raw.home.get_ref()) {
        let what = format!("there is no jurisdiction {:?}", raw.home.get_ref());
        return Err(file.at(&raw.home, what, "declare it as a [[jurisdiction]]"));
    }
    file.unique("rule", raw.rule.iter().map(|rule| &rule.id))?;
    if let Some(extra) = raw.rule.get(MAX_RULES) {
        return Err(file.at(
            &extra.id,
            format!("more than {MAX_RULES} rules"),
            "nobody can tell what they say together",
        ));
    }
    let mut reader = Reader { file, jurisdictions: &jurisdictions, home: raw.home.get_ref(), dropped: Vec::new() };
    let names = raw.rule.iter().map(|rule| check_id(file, &rule.id).map(Arc::from)).collect::<Result<_, _>>()?;
    let rules = raw.rule.iter().map(|rule| reader.rule(rule)).collect::<Result<_, _>>()?;
    let dropped = reader.dropped;
    Ok(Policy {
        version: raw.version.into_inner(),
        digest: digest(file.text),
        home: raw.home.into_inner(),
        jurisdictions,
        rules,
        names,
        dropped,
    })
}

fn check_jurisdictions(file: &File<'_>, given: Vec<RawJurisdiction>) -> Result<Vec<Listed>, ConfigError> {
    file.unique("jurisdiction", given.iter().map(|one| &one.id))?;
    file.unique("cluster", given.iter().flat_map(|one| &one.clusters))?;
    if let Some(extra) = given.get(usize::from(MAX_JURISDICTIONS)) {
        let what = format!("more than {MAX_JURISDICTIONS} jurisdictions");
        return Err(file.at(&extra.id, what, "list those that the box's clusters are in"));
    }
    let taken = |word: &str| [ANY, HOME].contains(&word) || WAYS.iter().any(|(way, _)| *way == word);
    let check = |one: RawJurisdiction| {
        let id = check_id(file, &one.id)?;
        if taken(&id) {
            let what = format!("{id:?} means something else where a rule says to what it applies");
            return Err(file.at(&one.id, what, "choose another id, such as \"jp\""));
        }
        Ok(Listed { id, name: one.name, clusters: one.clusters.into_iter().map(Spanned::into_inner).collect() })
    };
    given.into_iter().map(check).collect()
}

/// What records, logs and configs name it by.
fn check_id(file: &File<'_>, id: &Spanned<String>) -> Result<String, ConfigError> {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if id.get_ref().is_empty() || !id.get_ref().bytes().all(may_stand) {
        let what = format!("{:?} is no id", id.get_ref());
        return Err(file.at(id, what, "use ASCII letters, digits, '-', '_' and '.'"));
    }
    Ok(id.get_ref().clone())
}

/// Reads rules one after the other, and numbers what they drop.
struct Reader<'r> {
    file: &'r File<'r>,
    jurisdictions: &'r [Listed],
    home: &'r str,
    dropped: Vec<Arc<str>>,
}

impl Reader<'_> {
    fn rule(&mut self, raw: &RawRule) -> Result<Rule, ConfigError> {
        let decision = *raw.decision.get_ref();
        let all: Vec<_> = (0..self.jurisdictions.len()).map(|place| Destination::Cluster(at(place))).collect();
        if raw.why.get_ref().trim().is_empty() {
            return Err(self.file.at(&raw.why, "a rule without a reason".to_owned(), "say why, for whoever audits it"));
        }
        Ok(Rule {
            kinds: self.set(&raw.kinds, decision, Kind::ALL, |word| {
                word.parse().map_err(|error: ClassError| (error.to_string(), names(Kind::ALL.map(Kind::name))))
            })?,
            sensitivities: self.set(&raw.sensitivities, decision, Sensitivity::ALL, |word| {
                let known = || names(Sensitivity::ALL.map(Sensitivity::name));
                word.parse().map_err(|error: ClassError| (error.to_string(), known()))
            })?,
            to: self
                .set(&raw.to, decision, all.into_iter().chain(Destination::OTHERS), |word| self.destination(word))?,
            decision: self.decision(raw)?,
        })
    }

    /// A list's members, at least one.
    fn set<T: engine::residency::Member>(
        &self,
        list: &Spanned<Vec<Spanned<String>>>,
        decision: RawDecision,
        all: impl IntoIterator<Item = T>,
        read: impl Fn(&str) -> Result<T, (String, String)>,
    ) -> Result<Set<T>, ConfigError> {
        if list.get_ref().is_empty() {
            return Err(self.file.at(list, "a rule about nothing".to_owned(), "name at least one"));
        }
        if let Some(any) = list.get_ref().iter().find(|word| word.get_ref() == ANY) {
            if decision == RawDecision::Allow || list.get_ref().len() > 1 {
                let what = "\"any\" stands alone, and only where a rule denies".to_owned();
                return Err(self.file.at(any, what, "list what is allowed: what is added one day is not among it"));
            }
            return Ok(all.into_iter().collect());
        }
        let read = |word: &Spanned<String>| {
            read(word.get_ref())
                .map_err(|(what, help)| self.file.at(word, format!("{:?}: {what}", word.get_ref()), &help))
        };
        list.get_ref().iter().map(read).collect()
    }

    fn destination(&self, word: &str) -> Result<Destination, (String, String)> {
        let word = if word == HOME { self.home } else { word };
        if let Some(place) = self.jurisdictions.iter().position(|listed| listed.id == word) {
            return Ok(Destination::Cluster(at(place)));
        }
        WAYS.iter().find(|(way, _)| *way == word).map(|(_, to)| *to).ok_or_else(|| {
            let ids = self.jurisdictions.iter().map(|listed| listed.id.as_str());
            let known = ids.chain([HOME]).chain(WAYS.map(|(way, _)| way));
            ("there is no such destination".to_owned(), names(known))
        })
    }

    fn decision(&mut self, raw: &RawRule) -> Result<Decision, ConfigError> {
        match (raw.decision.get_ref(), &raw.drop) {
            (RawDecision::Deny, None) => Ok(Decision::Deny),
            (RawDecision::Deny, Some(drop)) => {
                let what = "a rule that denies drops nothing: nothing goes".to_owned();
                Err(self.file.at(drop, what, "leave drop out, or allow what is left"))
            }
            (RawDecision::Allow, drop) => {
                let fields = drop.iter().flat_map(Spanned::get_ref);
                if let Some(extra) = fields.clone().nth(MAX_DROPS) {
                    let what = format!("more than {MAX_DROPS} fields are dropped");
                    return Err(self.file.at(extra, what, "write another rule for the tasks that have them"));
                }
                let fields = fields.map(|name| Minimisation::Drop(self.number(name.get_ref())));
                Ok(Decision::Allow(fields.collect()))
            }
        }
    }

    /// What stands for this name.
    fn number(&mut self, name: &str) -> FieldId {
        let place = self.dropped.iter().position(|dropped| **dropped == *name).unwrap_or_else(|| {
            self.dropped.push(name.into());
            self.dropped.len() - 1
        });
        FieldId(u16::try_from(place).expect("1,024 rules drop 8 fields each at most"))
    }
}

fn names<'n>(known: impl IntoIterator<Item = &'n str>) -> String {
    format!("there are: {}", known.into_iter().collect::<Vec<_>>().join(", "))
}
