//! residency: what may leave the box, to where, under which rule. Nothing may, unless a rule says so.
//!
//! A request is a few *fields*, each of one [`Class`]. A [`Policy`] is a list of rules. A rule *applies* to a field if
//! it names the field's kind, the field's sensitivity and the destination. What an auditor must know to predict every
//! verdict:
//!
//! 1. A field without a declared class goes nowhere.
//! 2. A field to which a rule that denies applies goes nowhere, whatever other rules say and wherever they stand.
//! 3. A request goes if one rule that allows applies to every field that is left when what this rule drops is left
//!    out, and something is left. Fields that are left out are not sent, so 1 and 2 do not concern them.
//! 4. If several rules do, it goes under the first of the list, with what that one drops. The order of rules decides
//!    nothing else.
//!
//! One rule for the whole request, and not one for each of its fields: who allows joint states, and somewhere else
//! pictures, did not thereby allow what shows both together; and the record of an attempt names one rule.
//!
//! It must never know a name, a law or a country: those are the caller's data. What travels as a probe is of the kind
//! [`Kind::Synthetic`] and needs a rule as everything does: a box without a policy sends no probe either.

mod class;
mod destination;
mod policy;
mod set;

#[cfg(test)]
mod tests;

pub use class::{Class, ClassError, Kind, Sensitivity};
pub use destination::{Destination, Jurisdiction, MAX_JURISDICTIONS};
pub use policy::{
    Decision, Denied, Field, FieldId, MAX_DROPS, Minimisation, Permit, Policy, PolicyVersion, Rule, RuleId, Why,
};
pub use set::{Member, Set};
