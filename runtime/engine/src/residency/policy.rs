//! Rules, and what they say of one request.

use heapless::Vec;

use super::{
    class::{Class, Kind, Sensitivity},
    destination::Destination,
    set::Set,
};

/// How many fields one rule leaves out at most.
pub const MAX_DROPS: usize = 8;

/// A rule: its place in the policy's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(pub u16);

/// A policy's version, which its authors raise with every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyVersion(pub u64);

/// A field's name: the caller's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldId(pub u16);

/// One field of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub id: FieldId,
    /// What was declared of it.
    pub class: Option<Class>,
}

/// What is done to a request before it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Minimisation {
    /// This field is left out.
    Drop(FieldId),
}

/// What a rule says of what it applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may go, after this.
    Allow(Vec<Minimisation, MAX_DROPS>),
    /// It must not.
    Deny,
}

/// One rule. An empty set means nothing at all, not everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Of these kinds,
    pub kinds: Set<Kind>,
    /// of these sensitivities,
    pub sensitivities: Set<Sensitivity>,
    /// to these destinations.
    pub to: Set<Destination>,
    /// What it says.
    pub decision: Decision,
}

/// The rules that are in force. What none of them allows is denied.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'p> {
    /// Which text it is.
    pub version: PolicyVersion,
    /// In the order of the text. At most 65,535, the numbers of [`RuleId`]: what comes after is not looked at.
    pub rules: &'p [Rule],
}

/// A request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit<'p> {
    /// Under this rule,
    pub rule: RuleId,
    /// of this version of the policy,
    pub version: PolicyVersion,
    /// after this. It may name fields that the request does not have.
    pub minimise: &'p [Minimisation],
}

impl Permit<'_> {
    /// Whether this field goes along.
    #[must_use]
    pub fn sends(&self, field: FieldId) -> bool {
        !self.minimise.contains(&Minimisation::Drop(field))
    }
}

/// A request must not go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// The first field that must not, and its class; none if nothing would be left to send.
    pub field: Option<Field>,
    /// Why.
    pub why: Why,
    /// Which text says so.
    pub version: PolicyVersion,
}

/// Why a request must not go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// This rule denies the field.
    Rule(RuleId),
    /// The field has no declared class.
    Undeclared,
    /// No rule allows the field, or none together with the other fields.
    NoRule,
    /// The rule leaves out every field, or there was none.
    NothingLeft(Option<RuleId>),
}

impl<'p> Policy<'p> {
    /// Whether a request of these fields may go there.
    ///
    /// # Errors
    /// What stands in the way of the first rule that allows one of the fields; without such a rule, of the fields
    /// themselves. A rule that denies is named first, then an undeclared class, then a class without a rule.
    pub fn evaluate(&self, fields: &[Field], to: Destination) -> Result<Permit<'p>, Denied> {
        let mut nearest = None;
        for (rule, minimise, covering) in self.allowing(to) {
            let permit = Permit { rule, version: self.version, minimise };
            match self.objection(fields, to, Some((&permit, covering))) {
                None => return Ok(permit),
                Some(denied) if nearest.is_none() && fields.iter().any(|field| covering.applies(*field, to)) => {
                    nearest = Some(denied);
                }
                Some(_) => {}
            }
        }
        let of_fields = || self.objection(fields, to, None).expect("without a rule no field is allowed");
        Err(nearest.unwrap_or_else(of_fields))
    }

    fn numbered(&self) -> impl Iterator<Item = (RuleId, &'p Rule)> {
        (0..u16::MAX).map(RuleId).zip(self.rules)
    }

    fn allowing(&self, to: Destination) -> impl Iterator<Item = (RuleId, &'p [Minimisation], &'p Rule)> {
        self.numbered().filter(move |(_, rule)| rule.to.contains(to)).filter_map(|(id, rule)| match &rule.decision {
            Decision::Allow(minimise) => Some((id, minimise.as_slice(), rule)),
            Decision::Deny => None,
        })
    }

    /// What stands in the way of sending the fields under an allowing rule; under none, everything does.
    fn objection(&self, fields: &[Field], to: Destination, under: Option<(&Permit<'_>, &Rule)>) -> Option<Denied> {
        let left = || fields.iter().filter(|field| under.is_none_or(|(permit, _)| permit.sends(field.id)));
        let denied = |field: Option<&Field>, why| Some(Denied { field: field.copied(), why, version: self.version });
        if left().next().is_none() {
            return denied(None, Why::NothingLeft(under.map(|(permit, _)| permit.rule)));
        }
        if let Some((field, rule)) = left().find_map(|field| Some((field, self.denying(*field, to)?))) {
            return denied(Some(field), Why::Rule(rule));
        }
        if let Some(field) = left().find(|field| field.class.is_none()) {
            return denied(Some(field), Why::Undeclared);
        }
        let uncovered = left().find(|field| under.is_none_or(|(_, rule)| !rule.applies(**field, to)))?;
        denied(Some(uncovered), Why::NoRule)
    }

    /// The first rule that denies the field.
    fn denying(&self, field: Field, to: Destination) -> Option<RuleId> {
        let denies = |rule: &Rule| matches!(rule.decision, Decision::Deny) && rule.applies(field, to);
        self.numbered().find_map(|(id, rule)| denies(rule).then_some(id))
    }
}

impl Rule {
    /// Whether it says something of this field on its way there. Of an undeclared one no rule does.
    fn applies(&self, field: Field, to: Destination) -> bool {
        let of = |class: Class| self.kinds.contains(class.kind) && self.sensitivities.contains(class.sensitivity);
        self.to.contains(to) && field.class.is_some_and(of)
    }
}
