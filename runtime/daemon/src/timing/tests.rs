//! Records on a disk: kept whole, distrusted when read, and found only for what they were measured on.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::{
    binding::tests::{binding, changed},
    record::Lie,
    *,
};

/// Scenes by what they are and by how many samples of 40 us they have, and ten of 90 us beyond.
fn scenes(declared: &[(Scene, u64)]) -> Vec<Timed> {
    let timed = |(scene, samples): &(Scene, u64)| {
        Timed::new(*scene, Vec::new(), Distribution::of((40_000, samples.saturating_sub(10)), (90_000, 10)))
    };
    declared.iter().map(timed).collect()
}

fn record(binding: Binding, declared: &[(Scene, u64)]) -> Record {
    Record::new(origin(), binding, scenes(declared))
}

fn origin() -> Origin {
    Origin {
        model: "policy".into(),
        worker: "cpu0".into(),
        genba: "0.1.0".into(),
        at_unix_s: 1_795_454_400,
        took_s: 30,
        inputs: Inputs::Golden { observations: 8 },
    }
}

fn alone(pause_us: u32) -> Scene {
    Scene::Alone { pause_us }
}

fn beside(pause_us: u32) -> Scene {
    Scene::Beside { pause_us }
}

fn good() -> Record {
    let all =
        [(Scene::Cold {}, 20), (beside(0), 10_000), (alone(0), 10_000), (beside(1_000), 10_000), (alone(1_000), 9_999)];
    record(binding(), &all)
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder can be made"))
    }

    fn with(name: &str, bytes: &[u8]) -> Self {
        let this = Self::new();
        fs::write(this.0.path().join(name), bytes).expect("it can be written");
        this
    }

    fn write(&self, name: &str, record: &Record) {
        record.write(&self.0.path().join(name)).expect("it can be written");
    }

    fn find(&self, present: &Binding) -> Result<Record, Unmeasured> {
        find(self.0.path(), "policy", "cpu0", present).map(|(_, record)| record)
    }
}

#[test]
fn record_is_read_as_it_was_written_and_nothing_else_is_left() {
    let folder = Folder::new();
    for _ in 0..2 {
        folder.write("a.json", &good());
    }
    assert_eq!(folder.find(&binding()).expect("it holds"), good());
    let names: Vec<_> = fs::read_dir(folder.0.path()).expect("it is there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(names, ["a.json"]);
}

#[test]
fn record_holds_for_its_own_binding_only() {
    let folder = Folder::new();
    folder.write("a.json", &good());
    for (place, value) in changed(&serde_json::to_value(binding()).expect("it can be written"), "") {
        let present: Binding = serde_json::from_value(value).expect("it keeps its form");
        match folder.find(&present) {
            Err(Unmeasured::Other { differences, .. }) => assert_eq!(differences.len(), 1, "{place}"),
            other => panic!("{place}: {other:?}"),
        }
    }
}

#[test]
fn newest_of_the_records_that_hold_is_taken_and_the_nearest_of_the_others_named() {
    let folder = Folder::new();
    let (mut old, mut new) = (good(), good());
    (old.origin.at_unix_s, new.origin.at_unix_s) = (1, 2);
    folder.write("z.json", &old);
    folder.write("a.json", &new);
    assert_eq!(folder.find(&binding()).expect("both hold").origin.at_unix_s, 2);

    let far = Binding { provider: "cuda:0".into(), memory_locked: false, ..binding() };
    let near = Binding { power_mode: "powersave".into(), ..binding() };
    let folder = Folder::new();
    folder.write("a.json", &record(far, &[]));
    folder.write("b.json", &record(near, &[]));
    let told = folder.find(&binding()).expect_err("none holds").to_string();
    assert!(told.contains("b.json") && told.contains("power mode: measured \"powersave\""), "{told}");
}

#[test]
fn another_models_record_is_none() {
    let folder = Folder::new();
    assert!(matches!(folder.find(&binding()), Err(Unmeasured::NoRecord)));
    let mut other = record(Binding { model_sha256: "d".repeat(64), ..binding() }, &[]);
    other.origin.model = "vision".into();
    folder.write("a.json", &other);
    assert!(matches!(folder.find(&binding()), Err(Unmeasured::NoRecord)));
    assert!(matches!(find(Path::new("/nowhere"), "policy", "cpu0", &binding()), Err(Unmeasured::NoRecord)));
}

#[test]
fn execution_is_the_worst_scene_as_far_as_the_samples_go() {
    let execution = good().execution(Quantile::DEFAULT).expect("10,000 back to back are enough");
    assert_eq!((execution.time.as_micros(), execution.longest_pause), (40, Duration::ZERO));

    let slow = Timed::new(beside(1_000), Vec::new(), Distribution::of((70_000, 10_000), (0, 0)));
    let mut all = scenes(&[(alone(0), 10_000), (beside(0), 10_000), (alone(1_000), 10_000)]);
    all.push(slow);
    let record = Record::new(origin(), binding(), all);
    let execution = record.execution(Quantile::DEFAULT).expect("there are enough");
    assert_eq!((execution.time.as_micros(), execution.scene), (70, beside(1_000)));
    assert_eq!(execution.longest_pause, Duration::from_millis(1));

    // What is known counts also where its pause is not covered.
    let slow = Timed::new(beside(1_000), Vec::new(), Distribution::of((70_000, 10_000), (0, 0)));
    let mut all = scenes(&[(alone(0), 10_000), (beside(0), 10_000), (alone(1_000), 9_999)]);
    all.push(slow);
    let record = Record::new(origin(), binding(), all);
    let execution = record.execution(Quantile::DEFAULT).expect("there are enough");
    assert_eq!((execution.time.as_micros(), execution.longest_pause), (70, Duration::ZERO));
}

/// The negative control: what has too few samples, in one scene that counts, is not guessed.
#[test]
fn execution_without_enough_samples_is_absent() {
    let execution = |declared: &[(Scene, u64)]| record(binding(), declared).execution(Quantile::DEFAULT);
    assert!(execution(&[(alone(0), 10_000), (beside(0), 10_000)]).is_some());
    assert_eq!(execution(&[(alone(0), 10_000), (beside(0), 9_999)]), None);
    assert_eq!(execution(&[(alone(0), 9_999), (beside(0), 10_000)]), None);
    assert_eq!(execution(&[(alone(0), 10_000)]), None, "its binding has co-runners");
    assert_eq!(execution(&[(alone(1_000), 10_000), (beside(1_000), 10_000)]), None, "nothing back to back");
    assert_eq!(execution(&[]), None);
    let lonely = record(Binding { co_runners: Vec::new(), ..binding() }, &[(alone(0), 10_000)]);
    assert!(lonely.execution(Quantile::DEFAULT).is_some());
}

#[test]
fn file_that_was_cut_off_is_no_record() {
    let whole = serde_json::to_vec(&good()).expect("it can be written");
    for length in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
        let folder = Folder::with("a.json", &whole[..length]);
        let error = folder.find(&binding()).expect_err("it is cut off");
        assert!(matches!(error, Unmeasured::Record(RecordError::Malformed { .. })), "at {length}: {error}");
    }
    assert_eq!(Folder::with("a.json", &whole).find(&binding()).expect("it is whole"), good());
}

#[test]
fn file_that_contradicts_itself_is_no_record() {
    let lie = |change: fn(&mut Value)| {
        let mut value = serde_json::to_value(good()).expect("it can be written");
        change(&mut value);
        let folder = Folder::with("a.json", value.to_string().as_bytes());
        let error = folder.find(&binding()).expect_err("it lies");
        let Unmeasured::Record(RecordError::Lies { lie, .. }) = error else { panic!("{error}") };
        lie
    };
    assert_eq!(lie(|file| file["scenes"][1]["samples"] = 1_000_000.into()), Lie::Samples(beside(0)));
    assert_eq!(lie(|file| file["scenes"][1]["times_ns"][0][1] = 9_000.into()), Lie::Samples(beside(0)));
    assert_eq!(lie(|file| file["scenes"][1]["quantiles_ns"]["0.99"] = 7.into()), Lie::Quantiles(beside(0)));
    assert_eq!(lie(|file| file["scenes"][4]["quantiles_ns"]["0.999"] = 40_000.into()), Lie::Quantiles(alone(1_000)));
    assert_eq!(lie(|file| file["scenes"][2] = file["scenes"][1].clone()), Lie::Twice(beside(0)));
    assert_eq!(lie(|file| file["binding"]["co_runners"] = Value::Array(Vec::new())), Lie::NoCoRunners);
    let implausible = lie(|file| file["scenes"][1]["times_ns"][0][0] = 0.into());
    assert!(matches!(implausible, Lie::Implausible { .. }), "{implausible}");
}

#[test]
fn fields_that_nobody_knows_and_versions_to_come_are_refused() {
    let refused = |change: fn(&mut Value)| {
        let mut value = serde_json::to_value(good()).expect("it can be written");
        change(&mut value);
        Folder::with("a.json", value.to_string().as_bytes()).find(&binding()).expect_err("it is refused").to_string()
    };
    assert!(refused(|file| file["more"] = 1.into()).contains("unknown field `more`"));
    assert!(refused(|file| file["binding"]["more"] = 1.into()).contains("unknown field `more`"));
    assert!(refused(|file| file["scenes"][0]["scene"]["more"] = 1.into()).contains("unknown field `more`"));
    let later = refused(|file| (file["version"], file["more"]) = (3.into(), 1.into()));
    assert!(later.contains("version 3"), "{later}");
}

#[test]
fn file_of_any_length_costs_no_more_than_the_longest_record() {
    let folder = Folder::with("a.json", b"{");
    let file = fs::File::options().write(true).open(folder.0.path().join("a.json")).expect("it was written");
    file.set_len(1 << 40).expect("a hole takes no room");
    assert!(matches!(folder.find(&binding()), Err(Unmeasured::Record(RecordError::TooLong { .. }))));
}

#[test]
fn folder_in_a_files_place_is_no_record() {
    let folder = Folder::new();
    fs::create_dir(folder.0.path().join("a.json")).expect("it can be made");
    assert!(matches!(folder.find(&binding()), Err(Unmeasured::Record(RecordError::Unreadable { .. }))));
    // The negative control: beside it, a record that holds is found.
    folder.write("b.json", &good());
    assert!(folder.find(&binding()).is_ok());
}
