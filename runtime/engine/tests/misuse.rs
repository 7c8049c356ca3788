//! Invariant 2: only the guard builds what leaves as an action. Each misuse has a twin that compiles.

#[test]
fn invariant_2_only_the_guard_builds_an_action() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/misuse/*_fails.rs");
    cases.pass("tests/misuse/*_compiles.rs");
}
