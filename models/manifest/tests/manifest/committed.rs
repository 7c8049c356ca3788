//! Inputs that tell a planner what is played while it computes, and what does not fit together.

use manifest::{Contract, Source};

use crate::folder::{Folder, VALID, changed_in};

const PLAN: &str = "[[input]]\nname = \"before\"\nsource = \"committed-plan\"\ndtype = \"f32\"\nshape = [1, 30, 2]\n\n";
const STEPS: &str = "[[input]]\nname = \"count\"\nsource = \"committed-steps\"\ndtype = \"i64\"\nshape = [1]\n\n";

/// The valid manifest with 30 steps at 50 Hz of what was its action, and these inputs behind its own.
fn with(inputs: &str) -> String {
    let toml = changed_in(VALID, "shape = [1, 2]", "role = \"plan\"\nshape = [1, 30, 2]");
    let toml = changed_in(&toml, "[[output]]", &format!("{inputs}[[output]]"));
    format!("{toml}\n[plan]\nsteps = 30\nrate_hz = 50\n")
}

#[track_caller]
fn refused(toml: &str, complaint: &str) {
    assert_eq!(Folder::with(toml).complaint(), format!("M/model.toml:{complaint}"));
}

#[test]
fn a_planner_may_be_told_what_is_played_meanwhile() {
    for (inputs, sources) in [
        (PLAN.to_owned(), vec![Source::CommittedPlan]),
        (format!("{STEPS}{PLAN}"), vec![Source::CommittedSteps, Source::CommittedPlan]),
    ] {
        let manifest = Folder::with(&with(&inputs)).load().expect("it fits together");
        let found: Vec<_> = manifest.inputs()[1..].iter().map(|input| input.source.clone()).collect();
        assert_eq!(found, sources);
        assert!(manifest.takes_committed_plan() && manifest.state().is_none(), "it remembers nothing by itself");
    }
    for dtype in ["f32", "i32", "i64"] {
        let inputs = format!("{PLAN}{}", changed_in(STEPS, "i64", dtype));
        assert!(Folder::with(&with(&inputs)).load().is_ok(), "{dtype}");
    }
    assert!(!Folder::with(&with("")).load().expect("a planner need not be told").takes_committed_plan());
}

#[test]
fn a_robot_sends_nothing_of_it() {
    let contract = |toml: &str| {
        let manifest = Folder::with(toml).load().expect("the manifest is valid");
        Contract::new("pick", &manifest).expect("the task's name is printable")
    };
    assert_eq!(contract(&with(&format!("{PLAN}{STEPS}"))), contract(&with("")));
}

#[test]
fn it_is_of_the_plan() {
    for (old, new) in [("30, 2", "30, 3"), ("30, 2", "60"), ("f32", "f16")] {
        let inputs = changed_in(PLAN, old, new);
        let complaint = "27:9: the plan is f32 [1, 30, 2]; what is committed of it must be the same";
        refused(&with(&inputs), complaint);
    }
    let whole = with(PLAN).replace("dtype = \"f32\"\nshape = [1, 30, 2]", "dtype = \"i32\"\nshape = [1, 30, 2]");
    let whole = whole.replace("dtype = \"f32\"\nrole", "dtype = \"i32\"\nrole");
    refused(&whole, "26:9: between its steps a plan has fractions; what is committed of it is a float");
    let action = changed_in(VALID, "[[output]]", &format!("{PLAN}[[output]]"));
    refused(&action, "25:10: there is no plan that could be committed; give an [[output]] role = \"plan\"");
    let named = format!("{PLAN}elements = []\n\n");
    refused(&with(&named), "29:12: source = \"committed-plan\" has no `elements`; remove it");
}

#[test]
fn a_count_is_one_number_beside_the_plan() {
    refused(&with(STEPS), "25:10: no [[input]] has source = \"committed-plan\"; add the plan whose steps are counted");
    let wide = changed_in(STEPS, "[1]", "[1, 2]");
    refused(
        &with(&format!("{PLAN}{wide}")),
        "33:9: a count of committed steps has 1 elements, but the shape [1, 2] has 2; correct it",
    );
    let small = changed_in(STEPS, "i64", "i8");
    refused(&with(&format!("{PLAN}{small}")), "32:9: a count of committed steps is f32, i32 or i64");
}

#[test]
fn either_is_there_once() {
    let again = |table: &str, name: &str| changed_in(table, name, "again");
    let complaint = |line| format!("{line}:10: a second [[input]] with this source; one is enough");
    refused(&with(&format!("{PLAN}{}", again(PLAN, "before"))), &complaint(31));
    refused(&with(&format!("{PLAN}{STEPS}{}", again(STEPS, "count"))), &complaint(37));
}
