//! Several inputs and outputs: what each is filled from or used for, and what does not fit together.

use std::time::Duration;

use manifest::{Contract, Dtype, Role, Source, State};

use crate::folder::{Folder, SEVERAL, VALID, changed_in};

#[test]
fn every_source_and_role_is_read() {
    let manifest = Folder::with(SEVERAL).load().expect("several.toml is valid");
    let names: Vec<_> = manifest.inputs().iter().map(|input| input.tensor.name.as_str()).collect();
    assert_eq!(names, ["observation", "force", "hidden_in", "last", "past", "clock"]);
    for (place, input) in manifest.inputs().iter().enumerate() {
        assert_eq!(input.place.as_usize(), place);
    }
    let [observation, force, hidden, last, past, clock] = manifest.inputs() else { panic!("six inputs") };
    assert_eq!(manifest.observation(), observation.place);
    assert!(matches!(&observation.source, Source::Observation(elements) if elements.len() == 2));
    assert!(matches!(&force.source, Source::Joined(elements) if elements[0].name == "foot/force"));
    assert_eq!((force.tensor.dtype, force.tensor.elements()), (Dtype::F16, 1));
    let Source::Recurrent(from) = hidden.source else { panic!("it is recurrent") };
    assert_eq!(manifest.outputs()[from.as_usize()].tensor.name, "hidden");
    assert_eq!(last.source, Source::PreviousAction);
    assert_eq!(past.source, Source::History { length: 3 });
    assert_eq!(clock.source, Source::Phase { period: Duration::from_millis(800) });
    let state: Vec<_> = manifest.inputs().iter().map(|input| input.source.is_state()).collect();
    assert_eq!(state, [false, false, true, true, true, true]);
    assert_eq!(manifest.state(), Some(State { max_gap: Duration::from_millis(50) }));

    let [heat, target, hidden, class] = manifest.outputs() else { panic!("four outputs") };
    assert_eq!(heat.role, Role::Result(Vec::new()));
    assert_eq!(manifest.action(), Some(target.place));
    assert_eq!(hidden.role, Role::State);
    assert!(matches!(&class.role, Role::Result(elements) if elements[0].name == "ground"));
    assert_eq!((manifest.input_elements().len(), manifest.output_elements().len()), (2, 2));
}

#[test]
fn a_model_without_an_action_has_results_and_no_envelope() {
    let heat = "\n[[output]]\nname = \"heat\"\nrole = \"result\"\ndtype = \"f32\"\nshape = [8]\n";
    let before = VALID.split("[[output]]").next().expect("split has a first part");
    let manifest = Folder::with(&format!("{before}{heat}")).load().expect("a result is enough");
    assert_eq!((manifest.action(), manifest.envelope()), (None, None));
    assert!(manifest.output_elements().is_empty());
    assert_eq!((manifest.results().1, manifest.observation_values()), (8, 3));
    assert_eq!(
        Folder::with(&format!("{before}{heat}[envelope]\ntoo_fast = \"clamp\"\nmax_step_us = 1\n")).complaint(),
        "M/model.toml:29:1: there is no action that this envelope could hold; remove it"
    );
}

#[test]
fn joined_elements_are_part_of_the_contract_and_state_is_not() {
    let contract = |toml: &str| {
        let manifest = Folder::with(toml).load().expect("the manifest is valid");
        Contract::new("walk", &manifest).expect("the task's name is printable")
    };
    assert_eq!(
        contract(SEVERAL).text(),
        "genba-contract-v1\ntask\twalk\nin\thip/position\trad\nin\tknee/position\trad\njoin\tforce\tfoot/force\tN\n\
         out\thip\trad\t-1.0\t1.0\t1.0\nout\tknee\trad\t-1.0\t1.0\t1.0\n"
    );
    for (old, new, same) in [
        ("max_gap_us = 50000", "max_gap_us = 60000", true),
        ("period_us = 800000", "period_us = 900000", true),
        ("foot/force", "heel/force", false),
    ] {
        let changed = contract(&changed_in(SEVERAL, old, new));
        assert_eq!(changed.digest() == contract(SEVERAL).digest(), same, "{new}");
    }
}

#[track_caller]
fn refused(old: &str, new: &str, complaint: &str) {
    assert_eq!(Folder::with(&changed_in(SEVERAL, old, new)).complaint(), format!("M/model.toml:{complaint}"));
}

#[test]
fn an_input_that_is_not_what_it_says() {
    refused(
        "source = \"phase\"",
        "source = \"clock\"",
        "49:10: source \"clock\" is unknown; write \"observation\", \"joined\", \"recurrent\", \"previous-action\", \
         \"history\", \"phase\", \"committed-plan\" or \"committed-steps\"",
    );
    refused("length = 3\n", "", "40:1: missing field `length`: source = \"history\" needs it");
    refused("output = \"hidden\"\n", "", "27:1: missing field `output`: source = \"recurrent\" needs it");
    refused("period_us = 800000\n", "", "47:1: missing field `period_us`: source = \"phase\" needs it");
    refused("length = 3", "length = 3\nperiod_us = 1", "44:13: source = \"history\" has no `period_us`; remove it");
    refused(
        "shape = [2]",
        "shape = [2]\nelements = []",
        "39:12: source = \"previous-action\" has no `elements`; remove it",
    );
    refused(
        "elements = [{ name = \"foot/force\", unit = \"N\" }]\n",
        "",
        "20:1: missing field `elements`: source = \"joined\" needs it",
    );
    refused("length = 3", "length = 0", "43:10: length must be from 1 to 1024 observations");
    refused("length = 3", "length = 1025", "43:10: length must be from 1 to 1024 observations");
    refused("period_us = 800000", "period_us = 0", "50:13: period_us must be from 1 to 3600000000");
}

#[test]
fn an_input_of_another_size() {
    refused("shape = [2]", "shape = [3]", "38:9: the action has 2 elements, but the shape [3] has 3; correct it");
    refused(
        "length = 3",
        "length = 4",
        "45:9: a history of 4 observations has 8 elements, but the shape [1, 3, 2] has 6; correct it",
    );
    refused(
        "period_us = 800000\ndtype = \"f32\"\nshape = [1, 2]",
        "period_us = 800000\ndtype = \"f32\"\nshape = [1, 3]",
        "52:9: a phase, sine and cosine, has 2 elements, but the shape [1, 3] has 3; correct it",
    );
    refused(
        "period_us = 800000\ndtype = \"f32\"",
        "period_us = 800000\ndtype = \"i8\"",
        "51:9: sine and cosine are fractions; a phase is f32, f16 or bf16",
    );
}

#[test]
fn state_that_is_not_fed_back_as_it_came() {
    let other = "32:9: the output \"hidden\" is bf16 [1, 4]; what it feeds must be the same";
    let hidden = "output = \"hidden\"\ndtype = \"bf16\"\nshape = [1, 4]";
    refused(hidden, "output = \"hidden\"\ndtype = \"f16\"\nshape = [1, 4]", other);
    refused(hidden, "output = \"hidden\"\ndtype = \"bf16\"\nshape = [4, 1]", other);
    for name in ["target", "heat", "nothing"] {
        refused(
            "output = \"hidden\"",
            &format!("output = \"{name}\""),
            &format!("30:10: no [[output]] with role = \"state\" is named \"{name}\"; name one"),
        );
    }
    refused(
        "role = \"state\"\ndtype = \"bf16\"\nshape = [1, 4]",
        "role = \"state\"\ndtype = \"bf16\"\nshape = [1, 4]\n[[output]]\nname = \"idle\"\nrole = \"state\"\ndtype = \"f32\"\nshape = [1]",
        "75:1: no [[input]] is fed from the state \"idle\"; give one source = \"recurrent\", or remove this output",
    );
}

#[test]
fn the_state_table() {
    refused(
        "[state]\nmax_gap_us = 50000\n",
        "",
        "1:1: there is no [state] table; an input that remembers needs its max_gap_us",
    );
    let range = "88:14: max_gap_us must be from 1 to 60000000; a few control periods are usual";
    refused("max_gap_us = 50000", "max_gap_us = 0", range);
    refused("max_gap_us = 50000", "max_gap_us = 60000001", range);
    assert_eq!(
        Folder::with(&format!("{VALID}\n[state]\nmax_gap_us = 1\n")).complaint(),
        "M/model.toml:36:1: no [[input]] remembers anything; remove the [state] table"
    );
}

#[test]
fn names_and_counts() {
    refused("name = \"force\"", "name = \"clock\"", "48:8: a second [[input]] named \"clock\"; names are unique");
    refused("name = \"heat\"", "name = \"hidden\"", "71:8: a second [[output]] named \"hidden\"; names are unique");
    refused(
        "foot/force",
        "hip/position",
        "25:22: the name \"hip/position\" is used twice; names are unique over all inputs",
    );
    refused(
        "source = \"joined\"",
        "source = \"observation\"",
        "20:1: a second observation; give this [[input]] another source, such as \"joined\"",
    );
    refused(
        "source = \"observation\"",
        "source = \"joined\"",
        "1:1: no [[input]] has source = \"observation\"; a model answers exactly one",
    );
    let many = |table: &str, more: &str| {
        (0..17).fold(SEVERAL.to_owned(), |all, n| {
            format!("{all}[[{table}]]\nname = \"n{n}\"\ndtype = \"f32\"\nshape = [1]\n{more}")
        })
    };
    let complaint = Folder::with(&many("input", "source = \"phase\"\n")).complaint();
    assert!(complaint.ends_with("more than the 16 [[input]] tables that are supported"), "{complaint}");
    let complaint = Folder::with(&many("output", "role = \"result\"\n")).complaint();
    assert!(complaint.ends_with("more than the 16 [[output]] tables that are supported"), "{complaint}");
}

#[test]
fn an_output_that_is_not_what_it_says() {
    refused(
        "role = \"state\"",
        "role = \"memory\"",
        "72:8: role \"memory\" is unknown; write \"action\", \"plan\", \"state\" or \"result\"",
    );
    refused(
        "role = \"state\"",
        "role = \"state\"\nelements = []",
        "73:12: state has no elements: it never leaves the box; remove them",
    );
    refused(
        "name = \"ground\", unit = \"1\"",
        "name = \"ground\", unit = \"1\", min = 0.0",
        "81:13: an element of a result has a name and a unit, no limits; remove them",
    );
    refused(
        "role = \"result\"\ndtype = \"i64\"\nshape = [1]",
        "role = \"result\"\ndtype = \"i64\"\nshape = [2]",
        "81:12: 1 elements, but the shape [2] has 2; name every element, or correct the shape",
    );
    refused(
        "[envelope]\ntoo_fast = \"clamp\"\nmax_step_us = 10000\n",
        "",
        "1:1: there is no [envelope] table; an action needs one, and so does a plan",
    );
    assert_eq!(
        Folder::with(&VALID.replace("[envelope]", "[[output]]\nname = \"b\"\ndtype = \"f32\"\nshape = [1]\nelements = [{ name = \"b\", unit = \"1\", min = 0, max = 1, max_change_per_s = 1, rest = 0, start = 0 }]\n\n[envelope]")).complaint(),
        "M/model.toml:32:1: a second action or plan; give this [[output]] role = \"state\" or \"result\""
    );
}

/// Who asks for results alone may send a whole picture; who is answered with an action names what it observes.
#[test]
fn an_observation_without_names_is_a_tensor_for_results_alone() {
    let observation =
        "elements = [{ name = \"hip/position\", unit = \"rad\" }, { name = \"knee/position\", unit = \"rad\" }]\n";
    let unnamed = changed_in(&changed_in(SEVERAL, observation, ""), "start = \"hip/position\"", "start = 0.0");
    assert_eq!(
        Folder::with(&unnamed).complaint(),
        "M/model.toml:13:1: missing field `elements`: an observation that an action answers names each of them"
    );
    let head = SEVERAL.split("[[input]]").next().expect("split has a first part");
    let toml = format!(
        "{head}[[input]]\nname = \"picture\"\ndtype = \"u8\"\nshape = [1, 3, 4, 5]\n\n[[output]]\nname = \"heat\"\n\
         role = \"result\"\ndtype = \"f32\"\nshape = [1, 4, 5]\n\n[[output]]\nname = \"class\"\nrole = \"result\"\ndtype = \"f16\"\n\
         shape = [2]\nelements = [{{ name = \"good\", unit = \"1\" }}, {{ name = \"bad\", unit = \"1\" }}]\n"
    );
    let manifest = Folder::with(&toml).load().expect("the manifest is valid");
    assert_eq!((manifest.observation_values(), manifest.results().1), (60, 22));
    let contract = Contract::new("look", &manifest).expect("the task's name is printable");
    assert_eq!(
        contract.text(),
        "genba-contract-v1\ntask\tlook\ntensor\tpicture\tu8\t1,3,4,5\nresult\theat\tf32\t1,4,5\nresult\tclass\tf16\t2\n\
         give\tclass\tgood\t1\ngive\tclass\tbad\t1\n"
    );
}
