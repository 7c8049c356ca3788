//! An output that is a plan: its steps, its limits, and what does not fit together.

use std::time::Duration;

use manifest::{Contract, Plan, Role};

use crate::folder::{Folder, VALID, changed, changed_in};

/// The valid manifest with 30 steps at 50 Hz of what was its action.
fn planned() -> String {
    let toml = changed("shape = [1, 2]", "role = \"plan\"\nshape = [1, 30, 2]");
    format!("{toml}\n[plan]\nsteps = 30\nrate_hz = 50\n")
}

#[track_caller]
fn refused(old: &str, new: &str, complaint: &str) {
    assert_eq!(Folder::with(&changed_in(&planned(), old, new)).complaint(), format!("M/model.toml:{complaint}"));
}

#[test]
fn a_plan_has_the_limits_of_one_step_and_its_steps_in_time() {
    for shape in ["[1, 30, 2]", "[30, 2]"] {
        let manifest = Folder::with(&changed_in(&planned(), "[1, 30, 2]", shape)).load().expect("it is a plan");
        assert_eq!(manifest.plan(), Some(Plan { steps: 30, rate_hz: 50 }));
        assert_eq!(manifest.plan().map(|plan| plan.horizon()), Some(Duration::from_millis(580)));
        let output = &manifest.outputs()[manifest.action().expect("actions come from it").as_usize()];
        assert_eq!((output.tensor.elements(), manifest.output_elements().len()), (60, 2));
        assert!(matches!(&output.role, Role::Plan(elements) if elements == manifest.output_elements()));
        assert!(manifest.envelope().is_some());
    }
    assert_eq!(Folder::with(VALID).load().expect("it is an action").plan(), None);
}

#[test]
fn a_controller_agrees_to_a_step_and_not_to_how_many_there_are() {
    let contract = |toml: &str| {
        let manifest = Folder::with(toml).load().expect("the manifest is valid");
        Contract::new("pick", &manifest).expect("the task's name is printable")
    };
    assert_eq!(contract(&planned()), contract(VALID));
    assert_ne!(contract(&changed_in(&planned(), "max = 1.5", "max = 1.25")), contract(VALID));
}

#[test]
fn a_plan_that_is_not_declared_as_one() {
    refused(
        "[plan]\nsteps = 30\nrate_hz = 50\n",
        "",
        "1:1: there is no [plan] table; an output of the role \"plan\" needs its steps and rate_hz",
    );
    refused(
        "role = \"plan\"\nshape = [1, 30, 2]",
        "shape = [1, 2]",
        "36:1: no [[output]] has role = \"plan\"; give it to the one that is, or remove the [plan] table",
    );
    refused(
        "[envelope]\ntoo_fast = \"clamp\"\nmax_step_us = 10000\n",
        "",
        "1:1: there is no [envelope] table; an action needs one, and so does a plan",
    );
    refused("rate_hz = 50", "rate_hz = 50\ncolour = 1", "40:1: unknown field `colour`, expected `steps` or `rate_hz`");
}

#[test]
fn steps_that_do_not_fit() {
    for shape in ["[1, 29, 2]", "[2, 30]", "[2, 30, 2]", "[60]"] {
        refused(
            "[1, 30, 2]",
            shape,
            &format!(
                "27:9: the shape {shape} is not that of 30 steps of 2 elements; \
                 write [1, 30, 2], or correct steps or elements"
            ),
        );
    }
    for steps in ["0", "1", "4097", "9223372036854775807"] {
        let complaint = "38:9: steps must be from 2 to 4096; one step would be an action";
        refused("steps = 30", &format!("steps = {steps}"), complaint);
    }
    for rate in ["0", "1001", "9223372036854775807"] {
        let complaint = "39:11: rate_hz must be from 1 to 1000; the steps in a second";
        refused("rate_hz = 50", &format!("rate_hz = {rate}"), complaint);
    }
}

#[test]
fn a_planner_remembers_nothing() {
    let clock = "[[input]]\nname = \"clock\"\nsource = \"phase\"\nperiod_us = 800000\ndtype = \"f32\"\nshape = [2]\n\n\
                 [state]\nmax_gap_us = 50000\n\n";
    refused(
        "[[output]]",
        &format!("{clock}[[output]]"),
        "47:1: a model that makes plans remembers nothing, but the [[input]] \"clock\" is state; remove one of them",
    );
}

#[test]
fn an_action_beside_a_plan() {
    let second = "[[output]]\nname = \"second\"\ndtype = \"f32\"\nshape = [1]\nelements = [\n  \
                  { name = \"a\", unit = \"1\", min = 0, max = 1, max_change_per_s = 1, rest = 0, start = 0 },\n]\n\n";
    refused(
        "[envelope]",
        &format!("{second}[envelope]"),
        "33:1: a second action or plan; give this [[output]] role = \"state\" or \"result\"",
    );
}
