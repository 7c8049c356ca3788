//! Policies as files: what is refused, what is in force when, and in which order a change is made.

use std::{
    cell::{Cell, RefCell},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use engine::residency::Class;
use tempfile::TempDir;

use super::{
    current::{Change, Commits, Current, Denied, Looked, Refusal},
    data::Datum,
    file::{Policy, PolicyError},
    template::Template,
};

const POLICY: &str = r#"version = 3
home = "jp"

[[jurisdiction]]
id = "jp"
name = "日本"
clusters = ["east"]

[[jurisdiction]]
id = "us"
name = "United States"
clusters = ["far"]

[[rule]]
id = "labels-home"
kinds = ["image", "text"]
sensitivities = ["internal", "trade-secret"]
to = ["home", "router"]
decision = "allow"
drop = ["badge"]
why = "labels are read at home"

[[rule]]
id = "faces-stay"
kinds = ["any"]
sensitivities = ["personal"]
to = ["any"]
decision = "deny"
why = "people"

[[rule]]
id = "probes"
kinds = ["synthetic"]
sensitivities = ["public"]
to = ["jp"]
decision = "allow"
why = "health"
"#;

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(Path::new("policy.toml"), text)
}

/// What is said of the policy after a change, which must name file and line of what was changed.
fn refused(from: &str, to: &str) -> String {
    assert_eq!(POLICY.matches(from).count(), 1, "{from:?} stands once in the policy");
    let told = parse(&POLICY.replace(from, to)).expect_err("it is refused").to_string();
    let line = POLICY.split(from).next().unwrap_or_default().matches('\n').count() + 1;
    let place = format!("policy.toml:{line}: ");
    told.strip_prefix(&place).unwrap_or_else(|| panic!("{told:?} begins with {place:?}")).to_owned()
}

#[test]
fn a_policy_that_cannot_be_meant_is_refused_by_line() {
    assert!(parse(POLICY).is_ok(), "what is changed below is good");
    for (from, to, told) in [
        ("version = 3", "version = 0", "a version of 0"),
        ("version = 3", "version = 3\nvalid = true", ""),
        ("home = \"jp\"", "home = \"de\"", "there is no jurisdiction \"de\""),
        ("id = \"us\"", "id = \"jp\"", "the jurisdiction \"jp\" is declared twice"),
        ("id = \"us\"", "id = \"router\"", "means something else"),
        ("id = \"us\"", "id = \"u s\"", "\"u s\" is no id"),
        ("[\"far\"]", "[\"east\"]", "the cluster \"east\" is declared twice"),
        ("id = \"probes\"", "id = \"faces-stay\"", "the rule \"faces-stay\" is declared twice"),
        ("[\"image\", \"text\"]", "[\"picture\"]", "\"picture\": there is no such kind"),
        ("[\"image\", \"text\"]", "[]", "a rule about nothing"),
        ("[\"image\", \"text\"]", "[\"any\"]", "only where a rule denies"),
        ("[\"internal\", \"trade-secret\"]", "[\"secret\"]", "\"secret\": there is no such sensitivity"),
        ("[\"home\", \"router\"]", "[\"moon\"]", "\"moon\": there is no such destination"),
        ("[\"home\", \"router\"]", "[\"any\"]", "only where a rule denies"),
        ("sensitivities = [\"personal\"]", "sensitivities = [\"any\", \"personal\"]", "stands alone"),
        ("decision = \"deny\"", "decision = \"maybe\"", "unknown variant `maybe`"),
        ("why = \"people\"", "why = \" \"", "a rule without a reason"),
    ] {
        if told.is_empty() {
            let all = parse(&POLICY.replace(from, to)).expect_err("it is refused").to_string();
            assert!(all.starts_with("policy.toml:2: unknown field `valid`"), "{all}");
        } else {
            let said = refused(from, to);
            assert!(said.contains(told), "{said:?} says {told:?}");
        }
    }
    let drops = parse(&POLICY.replace("decision = \"deny\"", "decision = \"deny\"\ndrop = [\"a\"]"));
    assert!(drops.expect_err("it is refused").to_string().contains("drops nothing"));
    let many: Vec<_> = (0..9).map(|n| format!("\"f{n}\"")).collect();
    assert!(refused("[\"badge\"]", &format!("[{}]", many.join(", "))).contains("more than 8 fields"));
    let one = |n| format!("[[jurisdiction]]\nid = \"j{n}\"\nname = \"\"\nclusters = []\n");
    let many = (0..32).map(one).collect::<Vec<_>>().concat();
    let told = parse(&format!("{POLICY}{many}")).expect_err("it is refused").to_string();
    assert!(told.contains("more than 32 jurisdictions"), "{told}");
}

#[test]
fn templates_are_policies_that_let_nothing_abroad_and_nobody_out() {
    for template in Template::value_variants() {
        let filled = template.text().replace("clusters = []", "clusters = [\"east\"]");
        let policy = parse(&filled).expect("it is good");
        let (home, _) = policy.home();
        let data = |class: &str| vec![datum("x", Some(class))];
        let goes = |class| super::current::to_cluster(&policy, &data(class), "east", home).is_ok();
        assert!(goes("joint-state/internal") && goes("image/trade-secret") && goes("synthetic/public"));
        assert!(!goes("image/personal") && !goes("image/government") && !goes("log/internal"), "{template:?}");
        assert!(super::current::to_cluster(&policy, &data("synthetic/public"), "far", home).is_err());
        assert!(super::current::to_cluster(&policy, &data("synthetic/public"), "east", "elsewhere").is_err());
    }
}

fn datum(name: &str, class: Option<&str>) -> Datum {
    Datum { name: name.into(), class: class.map(|class| class.parse::<Class>().expect("a class")) }
}

/// What happens in which order, and what an attempt is told meanwhile.
struct Order<'o> {
    current: &'o Current,
    happened: RefCell<Vec<String>>,
    fails: Cell<bool>,
}

impl Order<'_> {
    fn note(&self, what: &str) {
        let said = match self.current.rule(0, 0) {
            Ok(ruled) => format!("allowed by {}", ruled.policy),
            Err(denied) => format!("{:?}", denied.refusal),
        };
        self.happened.borrow_mut().push(format!("{what}: {said}"));
    }

    fn happened(&self) -> Vec<String> {
        self.happened.take()
    }
}

impl Commits for Order<'_> {
    fn revoke(&self) {
        self.note("revoke");
    }

    fn record(&self, change: &Change) -> Result<(), String> {
        self.note(match change {
            Change::Committed { .. } => "commit",
            Change::Withdrawn { .. } => "withdraw",
        });
        if self.fails.get() { Err("the disk is full".to_owned()) } else { Ok(()) }
    }
}

/// A policy file and who watches it: task 0 sends a label and a badge, task 1 a face, task 2 what nobody has declared.
struct Desk {
    folder: TempDir,
    current: Current,
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let label = [datum("label", Some("image/trade-secret")), datum("badge", Some("image/personal"))];
        let tasks =
            vec![Arc::from(label), Arc::from([datum("face", Some("image/personal"))]), [datum("x", None)].into()];
        let named = |name: &str, jurisdiction: &str| (name.to_owned(), jurisdiction.to_owned());
        let clusters = vec![named("east", "jp"), named("far", "us"), named("far", "jp")];
        let current = Current::of(Some(Self::path_in(&folder)), tasks, clusters);
        Self { folder, current }
    }

    fn path_in(folder: &TempDir) -> PathBuf {
        folder.path().join("policy.toml")
    }

    fn write(&self, text: &str) {
        fs::write(Self::path_in(&self.folder), text).expect("the temporary folder can be written");
    }

    fn order(&self) -> Order<'_> {
        Order { current: &self.current, happened: RefCell::default(), fails: Cell::new(false) }
    }
}

fn committed(looked: &Looked) -> Option<u64> {
    match looked {
        Looked::Changed(Change::Committed { version, .. }) => Some(*version),
        Looked::Changed(Change::Withdrawn { .. }) | Looked::Unchanged | Looked::NotRecorded(..) => None,
    }
}

fn withdrawn(looked: Looked) -> String {
    let Looked::Changed(Change::Withdrawn { why }) = looked else { panic!("{looked:?}") };
    why
}

#[test]
fn attempts_are_told_the_rule_what_stays_and_what_must_not_go() {
    let desk = Desk::new();
    desk.write(POLICY);
    let before = desk.current.rule(0, 0).expect_err("nothing is in force yet");
    assert_eq!(before, Denied { refusal: Refusal::NoPolicy, rule: None, input: None, class: None, policy: None });
    assert_eq!(committed(&desk.current.look(&desk.order())), Some(3));
    assert_eq!(desk.current.in_force(), Some(3));
    let ruled = desk.current.rule(0, 0).expect("it may go");
    assert_eq!((&*ruled.rule, ruled.policy), ("labels-home", 3));
    assert_eq!((ruled.dropped, ruled.sent[0].0.as_ref()), (vec!["badge".into()], "label"));
    assert_eq!(ruled.sent[0].1.to_string(), "image/trade-secret");
    assert_eq!(&*desk.current.probe(0).expect("it may go").rule, "probes");
    let said = |task, cluster| {
        let denied = desk.current.rule(task, cluster).expect_err("it must not go");
        let (rule, input) = (denied.rule.unwrap_or_default(), denied.input.unwrap_or_default());
        format!(
            "{:?} {rule} {input} {}",
            denied.refusal,
            denied.class.map(|class| class.to_string()).unwrap_or_default()
        )
    };
    assert_eq!(said(1, 0), "Denied faces-stay face image/personal");
    assert_eq!(said(2, 0), "ClassUndeclared  x ");
    // Abroad no rule drops the badge, so it is what must not go.
    assert_eq!(said(0, 1), "Denied faces-stay badge image/personal");
    assert_eq!(said(0, 2), "Denied   ", "the config says that it is at home, and the policy does not");
    assert_eq!(desk.current.probe(1).expect_err("no rule allows it").class, Some(Class::SYNTHETIC));
}

#[test]
fn a_change_revokes_then_records_then_is_in_force() {
    let desk = Desk::new();
    desk.write(POLICY);
    let order = desk.order();
    desk.current.look(&order);
    assert_eq!(order.happened(), ["revoke: Changing", "commit: Changing"]);
    assert_eq!(desk.current.look(&order), Looked::Unchanged);
    desk.write(&POLICY.replace("version = 3", "version = 4"));
    assert_eq!(desk.current.look(&order), Looked::Unchanged, "it may still be written");
    assert_eq!((order.happened(), desk.current.in_force()), (vec![], Some(3)));
    assert_eq!(committed(&desk.current.look(&order)), Some(4));
    assert_eq!(order.happened(), ["revoke: Changing", "commit: Changing"]);
    assert_eq!(desk.current.rule(0, 0).expect("it may go").policy, 4);
    assert_eq!((desk.current.look(&order), order.happened()), (Looked::Unchanged, vec![]));
}

#[test]
fn a_file_that_goes_or_goes_bad_withdraws_the_policy() {
    let desk = Desk::new();
    let order = desk.order();
    assert!(withdrawn(desk.current.look(&order)).contains("cannot read the policy"), "there was none");
    desk.write(POLICY);
    desk.current.look(&order);
    assert_eq!(committed(&desk.current.look(&order)), Some(3));
    order.happened();
    desk.write("version = 5\nhome = 7\n");
    desk.current.look(&order);
    assert!(withdrawn(desk.current.look(&order)).contains("policy.toml:2: invalid type"));
    assert_eq!(order.happened(), ["revoke: Changing", "withdraw: Changing"]);
    assert_eq!(desk.current.rule(0, 0).expect_err("nothing goes").refusal, Refusal::NoPolicy);
    assert!(desk.current.probe(0).is_err(), "no probe either");
    desk.write(POLICY);
    desk.current.look(&order);
    assert_eq!(committed(&desk.current.look(&order)), Some(3), "the same text may come back");
    fs::remove_file(Desk::path_in(&desk.folder)).expect("it is there");
    desk.current.look(&order);
    assert!(withdrawn(desk.current.look(&order)).contains("No such file"));
    fs::write(Desk::path_in(&desk.folder), b"version = 9\xff").expect("the temporary folder can be written");
    desk.current.look(&order);
    assert!(withdrawn(desk.current.look(&order)).contains("UTF-8"));
    desk.write(&"#".repeat((1 << 20) + 1));
    desk.current.look(&order);
    assert!(withdrawn(desk.current.look(&order)).contains("more than 1 MiB"));
}

#[test]
fn another_text_under_the_same_version_withdraws_the_policy() {
    let desk = Desk::new();
    let order = desk.order();
    desk.write(POLICY);
    desk.current.look(&order);
    for version in [3, 2] {
        desk.write(&POLICY.replace("version = 3", &format!("version = {version} # another text")));
        desk.current.look(&order);
        assert!(withdrawn(desk.current.look(&order)).contains("raise its version"));
        assert_eq!(desk.current.in_force(), None);
    }
}

#[test]
fn a_change_that_cannot_be_recorded_leaves_nothing_in_force_and_is_tried_again() {
    let desk = Desk::new();
    let order = desk.order();
    desk.write(POLICY);
    desk.current.look(&order);
    desk.write(&POLICY.replace("version = 3", "version = 4"));
    desk.current.look(&order);
    order.fails.set(true);
    assert!(
        matches!(desk.current.look(&order), Looked::NotRecorded(Change::Committed { version: 4, .. }, why) if why == "the disk is full")
    );
    order.happened();
    assert_eq!((desk.current.look(&order), desk.current.in_force()), (Looked::Unchanged, None), "said once");
    assert_eq!(order.happened(), ["revoke: Changing", "commit: Changing"], "and tried");
    order.fails.set(false);
    assert_eq!(committed(&desk.current.look(&order)), Some(4));
    assert_eq!(desk.current.in_force(), Some(4));
}

#[test]
fn without_a_file_nothing_goes() {
    let none =
        Current::of(None, vec![[datum("x", Some("synthetic/public"))].into()], vec![("east".into(), "jp".into())]);
    let order = Order { current: &none, happened: RefCell::default(), fails: Cell::new(false) };
    assert_eq!((none.look(&order), order.happened()), (Looked::Unchanged, vec![]));
    assert_eq!(none.rule(0, 0).expect_err("nothing goes").refusal, Refusal::NoPolicy);
}
