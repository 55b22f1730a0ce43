//! The example of a user's own test does what it promises, and is short.

#[allow(dead_code)]
#[path = "../../../examples/fault_test.rs"]
mod fault_test;

use fault_test::Checkpoint;

#[test]
fn a_seed_finds_the_planted_bug_and_finds_it_again() {
    let (seed, lost) = fault_test::find().expect("one of a thousand seeds finds it");
    for _ in 0..2 {
        let again = fault_test::run(seed, Checkpoint::BeforeProcessing);
        assert_eq!(again, lost, "seed {seed}");
    }
    let mended = fault_test::run(seed, Checkpoint::AfterProcessing);
    assert_eq!(mended, Vec::<String>::new(), "seed {seed}");
}

#[test]
fn the_users_part_has_at_most_thirty_lines() {
    let text = include_str!("../../../examples/fault_test.rs");
    let test = text.split("// The test begins.\n").nth(1).unwrap();
    let test = test.split("// The test ends.\n").next().unwrap();
    let lines = test.lines().filter(|line| !line.trim().is_empty()).count();
    assert!((10..=30).contains(&lines), "{lines} lines");
}
