//! Every verdict beside a second evaluation, over all small policies and requests; and what shows that this can fail.

use super::*;

const HERE: Destination = Destination::Cluster(Jurisdiction::new(0).unwrap());
const KINDS: [&[Kind]; 3] = [&[Kind::JointState], &[Kind::Image], &[Kind::JointState, Kind::Image]];
const SENSITIVITIES: [&[Sensitivity]; 3] =
    [&[Sensitivity::Internal], &[Sensitivity::Personal], &[Sensitivity::Internal, Sensitivity::Personal]];
const TO: [&[Destination]; 3] = [&[HERE], &[Destination::Router], &[HERE, Destination::Router]];
/// What a rule leaves out; none: it denies.
const DECISIONS: [Option<&[u16]>; 4] = [None, Some(&[]), Some(&[0]), Some(&[1])];

/// A rule as a person lists it.
#[derive(Debug, Clone, Copy)]
struct Plain {
    kinds: &'static [Kind],
    sensitivities: &'static [Sensitivity],
    to: &'static [Destination],
    drops: Option<&'static [u16]>,
}

impl Plain {
    fn rule(self) -> Rule {
        let drop = |id: &u16| Minimisation::Drop(FieldId(*id));
        Rule {
            kinds: self.kinds.iter().copied().collect(),
            sensitivities: self.sensitivities.iter().copied().collect(),
            to: self.to.iter().copied().collect(),
            decision: self.drops.map_or(Decision::Deny, |drops| Decision::Allow(drops.iter().map(drop).collect())),
        }
    }
}

/// What a wrong evaluation would do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrong {
    DenyIgnored,
    DenyOnlyIfFirst,
    DropIgnored,
    DenyOfWhatIsDropped,
    UndeclaredGoes,
    KindIgnored,
    SensitivityIgnored,
    DestinationIgnored,
    OneFieldIsEnough,
    EachFieldByItsOwnRule,
    NothingGoes,
    LastOfSeveral,
}

const WRONG: [Wrong; 12] = [
    Wrong::DenyIgnored,
    Wrong::DenyOnlyIfFirst,
    Wrong::DropIgnored,
    Wrong::DenyOfWhatIsDropped,
    Wrong::UndeclaredGoes,
    Wrong::KindIgnored,
    Wrong::SensitivityIgnored,
    Wrong::DestinationIgnored,
    Wrong::OneFieldIsEnough,
    Wrong::EachFieldByItsOwnRule,
    Wrong::NothingGoes,
    Wrong::LastOfSeveral,
];

/// The rule that a request goes under, as the module's text says it; or as a wrong one would.
fn second(rules: &[Plain], fields: &[Field], to: Destination, wrong: Option<Wrong>) -> Option<usize> {
    let is = |one| wrong == Some(one);
    let names = |rule: &Plain, field: &Field| match field.class {
        None => is(Wrong::UndeclaredGoes) && rule.drops.is_some(),
        Some(Class { kind, sensitivity }) => {
            (rule.kinds.contains(&kind) || is(Wrong::KindIgnored))
                && (rule.sensitivities.contains(&sensitivity) || is(Wrong::SensitivityIgnored))
                && (rule.to.contains(&to) || is(Wrong::DestinationIgnored))
        }
    };
    let goes_under = |place: usize| {
        let Some(drops) = rules[place].drops else { return false };
        let dropped = |field: &Field| drops.contains(&field.id.0) && !is(Wrong::DropIgnored);
        let stops = |field: &Field| {
            let before = if is(Wrong::DenyOnlyIfFirst) { &rules[..place] } else { rules };
            let looked_at = !dropped(field) || is(Wrong::DenyOfWhatIsDropped);
            looked_at && !is(Wrong::DenyIgnored) && before.iter().any(|rule| rule.drops.is_none() && names(rule, field))
        };
        let covered = |field: &Field| {
            let own = |rule: &&Plain| rule.drops.is_some() && names(rule, field);
            names(&rules[place], field) || is(Wrong::EachFieldByItsOwnRule) && rules.iter().any(|rule| own(&rule))
        };
        let mut sent = fields.iter().filter(|field| !dropped(field)).peekable();
        if sent.peek().is_none() && !is(Wrong::NothingGoes) {
            return false;
        }
        let all = if is(Wrong::OneFieldIsEnough) { sent.any(covered) } else { sent.all(covered) };
        all && !fields.iter().any(stops)
    };
    let mut places = 0..rules.len();
    if is(Wrong::LastOfSeveral) {
        places.rfind(|place| goes_under(*place))
    } else {
        places.find(|place| goes_under(*place))
    }
}

/// All rules of the small world.
fn plain_rules() -> impl Iterator<Item = Plain> + Clone {
    (0..108).map(|n: usize| Plain {
        kinds: KINDS[n % 3],
        sensitivities: SENSITIVITIES[n / 3 % 3],
        to: TO[n / 9 % 3],
        drops: DECISIONS[n / 27],
    })
}

/// All requests of at most two fields, each of no class or of one of four.
fn requests() -> impl Iterator<Item = heapless::Vec<Field, 2>> + Clone {
    let class = |n: usize| Class {
        kind: [Kind::JointState, Kind::Image][n % 2],
        sensitivity: [Sensitivity::Internal, Sensitivity::Personal][n / 2],
    };
    let field = move |id: u16, n: usize| match n {
        0 => None,
        1 => Some(Field { id: FieldId(id), class: None }),
        more => Some(Field { id: FieldId(id), class: Some(class(more - 2)) }),
    };
    (0..36).map(move |n: usize| field(0, n / 6).into_iter().chain(field(1, n % 6)).collect())
}

/// Calls with each pair of rules, each request and each destination.
fn for_all(mut judge: impl FnMut(&[Plain], &Policy<'_>, &[Field], Destination)) {
    for first in plain_rules() {
        for second in plain_rules() {
            let plain = [first, second];
            let rules = plain.map(Plain::rule);
            let policy = Policy { version: PolicyVersion(7), rules: &rules };
            for fields in requests() {
                for to in [HERE, Destination::Router] {
                    judge(&plain, &policy, &fields, to);
                }
            }
        }
    }
}

#[test]
fn every_verdict_is_that_of_a_second_evaluation_and_says_the_truth() {
    let (mut permitted, mut denied) = (0_u32, 0_u32);
    for_all(|plain, policy, fields, to| match (policy.evaluate(fields, to), second(plain, fields, to, None)) {
        (Ok(permit), Some(place)) => {
            permitted += 1;
            assert_eq!((usize::from(permit.rule.0), permit.version), (place, PolicyVersion(7)));
            let kept = plain[place].drops.unwrap();
            assert!(fields.iter().all(|field| permit.sends(field.id) != kept.contains(&field.id.0)));
        }
        (Err(why), None) => {
            denied += 1;
            assert!(is_true(why, plain, fields, to), "{why:?} of {fields:?} under {plain:?}");
        }
        (said, place) => panic!("{said:?} beside {place:?}: {fields:?} under {plain:?}"),
    });
    assert!(permitted > 50_000 && denied > 50_000, "both happen: {permitted} {denied}");
}

/// Whether what a refusal says of itself is so.
fn is_true(denied: Denied, plain: &[Plain], fields: &[Field], to: Destination) -> bool {
    let there = denied.field.is_none_or(|field| fields.contains(&field));
    let names = |rule: &Plain, field: Field| {
        let class = field.class.unwrap();
        rule.kinds.contains(&class.kind) && rule.sensitivities.contains(&class.sensitivity) && rule.to.contains(&to)
    };
    there
        && match (denied.why, denied.field) {
            (Why::Rule(RuleId(place)), Some(field)) => {
                let rule = &plain[usize::from(place)];
                rule.drops.is_none() && names(rule, field)
            }
            (Why::Undeclared, Some(field)) => field.class.is_none(),
            // Otherwise it would say Rule. That no rule allows all of them together is what denies it at all.
            (Why::NoRule, Some(field)) => !plain.iter().any(|rule| rule.drops.is_none() && names(rule, field)),
            (Why::NothingLeft(None), None) => fields.is_empty(),
            (Why::NothingLeft(Some(RuleId(place))), None) => {
                let drops = plain[usize::from(place)].drops.unwrap();
                fields.iter().all(|field| drops.contains(&field.id.0))
            }
            (Why::Rule(_) | Why::Undeclared | Why::NoRule, None) | (Why::NothingLeft(_), Some(_)) => false,
        }
}

#[test]
fn every_wrong_evaluation_would_be_found() {
    let mut found = WRONG.map(|_| 0_u32);
    for_all(|plain, policy, fields, to| {
        let said = policy.evaluate(fields, to).ok().map(|permit| usize::from(permit.rule.0));
        for (wrong, found) in WRONG.iter().zip(&mut found) {
            *found += u32::from(second(plain, fields, to, Some(*wrong)) != said);
        }
    });
    for (wrong, found) in WRONG.iter().zip(found) {
        assert!(found > 0, "{wrong:?} makes no difference");
    }
}

#[test]
fn a_rule_allows_its_own_class_to_its_own_destination_and_no_other() {
    let destinations = || (0..MAX_JURISDICTIONS).map(cluster).chain(Destination::OTHERS);
    let classes =
        || Kind::ALL.into_iter().flat_map(|kind| Sensitivity::ALL.map(|sensitivity| Class { kind, sensitivity }));
    for (of, there) in classes().flat_map(|class| destinations().map(move |to| (class, to))) {
        let rule = Rule {
            kinds: Set::from_iter([of.kind]),
            sensitivities: Set::from_iter([of.sensitivity]),
            to: Set::from_iter([there]),
            decision: Decision::Allow(heapless::Vec::new()),
        };
        let policy = Policy { version: PolicyVersion(1), rules: &[rule] };
        for (class, to) in classes().flat_map(|class| destinations().map(move |to| (class, to))) {
            let said = policy.evaluate(&[Field { id: FieldId(0), class: Some(class) }], to);
            assert_eq!(said.is_ok(), (class, to) == (of, there), "{class} {to:?} under {of} {there:?}");
        }
    }
}

#[test]
fn without_a_rule_nothing_goes_not_even_a_probe() {
    let policy = Policy { version: PolicyVersion(1), rules: &[] };
    for class in [None, Some(Class::SYNTHETIC)] {
        let field = Field { id: FieldId(0), class };
        let denied = policy.evaluate(&[field], HERE).unwrap_err();
        assert_eq!(denied.field, Some(field));
        assert_eq!(denied.why, if class.is_none() { Why::Undeclared } else { Why::NoRule });
    }
}

#[test]
fn members_of_lists_have_places_of_their_own() {
    let distinct = |places: &mut dyn Iterator<Item = u8>| {
        let mut seen = 0_u64;
        for place in places {
            assert_eq!(seen & 1 << place, 0, "{place} twice");
            seen |= 1 << place;
        }
    };
    distinct(&mut Kind::ALL.into_iter().map(Member::place));
    distinct(&mut Sensitivity::ALL.into_iter().map(Member::place));
    distinct(&mut (0..MAX_JURISDICTIONS).map(cluster).chain(Destination::OTHERS).map(Member::place));
    assert_eq!(Jurisdiction::new(MAX_JURISDICTIONS), None);
}

#[test]
fn classes_are_read_as_they_are_written() {
    for kind in Kind::ALL {
        for sensitivity in Sensitivity::ALL {
            let class = Class { kind, sensitivity };
            let written = format_of(class);
            assert_eq!(written.parse(), Ok(class), "{written}");
        }
    }
    assert_eq!("image".parse::<Class>(), Err(ClassError::Shape));
    assert_eq!("picture/public".parse::<Class>(), Err(ClassError::Kind));
    assert_eq!("image/secret".parse::<Class>(), Err(ClassError::Sensitivity));
    assert_eq!("image/public/x".parse::<Class>(), Err(ClassError::Sensitivity));
}

fn cluster(place: u8) -> Destination {
    Destination::Cluster(Jurisdiction::new(place).unwrap())
}

fn format_of(class: Class) -> heapless::String<32> {
    let mut written = heapless::String::new();
    core::fmt::write(&mut written, format_args!("{class}")).unwrap();
    written
}
