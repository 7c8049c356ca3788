//! Random operations, restarts, power cuts and failing disks, in step with the reference.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Answer, Attempt, Begin, Failure, Id, Put, ReasonNumber, Request, Spool, SpoolError, Task, Wall};
use super::disk::{Keep, TestDisk};
use super::model::{self, Model};
use super::{id, open, settings, task};

#[derive(Clone, Debug)]
enum Step {
    Do(Act),
    /// The process is gone; nothing else.
    Restart,
    /// The disk fails at this call of the act, or after it; then the power is cut, and only this of what was written since
    /// the last sync is there.
    PowerCut(Act, u64, Vec<u8>),
    /// The wall clock goes on, or is set back.
    Time(i64),
}

#[derive(Clone, Debug)]
enum Act {
    Put { id: u8, task: u8, bytes: u16, result: u64, live: u64 },
    Begin { task: u8 },
    BeginAny { id: u8 },
    Deliver { which: u8, bytes: u8 },
    Fail { which: u8, how: u8 },
    Reject { id: u8 },
    Answer { id: u8 },
    Acknowledge { id: u8 },
    Retry { which: u8 },
    Purge { which: u8 },
}

const TASKS: u8 = 3;
const IDS: u8 = 14;

fn act() -> impl Strategy<Value = Act> {
    let (task, id) = (0..TASKS, 0..IDS);
    prop_oneof![
        6 => (id.clone(), task.clone(), 0_u16..400, 0_u64..250, 1_u64..80)
            .prop_map(|(id, task, bytes, result, live)| Act::Put { id, task, bytes, result, live }),
        5 => task.prop_map(|task| Act::Begin { task }),
        1 => id.clone().prop_map(|id| Act::BeginAny { id }),
        3 => (0..TASKS, any::<u8>()).prop_map(|(which, bytes)| Act::Deliver { which, bytes }),
        4 => (0..TASKS, 0_u8..4).prop_map(|(which, how)| Act::Fail { which, how }),
        1 => id.clone().prop_map(|id| Act::Reject { id }),
        2 => id.clone().prop_map(|id| Act::Answer { id }),
        3 => id.prop_map(|id| Act::Acknowledge { id }),
        1 => (0_u8..4).prop_map(|which| Act::Retry { which }),
        1 => (0_u8..4).prop_map(|which| Act::Purge { which }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => act().prop_map(Step::Do),
        1 => Just(Step::Restart),
        2 => (act(), 0_u64..14, prop::collection::vec(0_u8..3, 24)).prop_map(|(act, at, keep)| Step::PowerCut(act, at, keep)),
        3 => (-20_i64..40).prop_map(Step::Time),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_spool_does_what_the_reference_does(steps in prop::collection::vec(step(), 1..70)) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
            run.compare();
        }
    }
}

struct Run {
    disk: TestDisk,
    spool: Spool,
    model: Model,
    now: Wall,
    /// What this process has out.
    out: Vec<Attempt>,
}

impl Run {
    fn new() -> Run {
        let (disk, now) = (TestDisk::default(), Wall(1_000_000_000_000));
        let spool = open(&disk, now).expect("a new spool");
        Run { spool, disk, model: Model::new(settings(), now), now, out: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Do(act) => {
                self.model.pass(self.now);
                self.act(act).expect("the disk is well");
            }
            Step::Restart => self.restart(),
            Step::PowerCut(act, at, keep) => self.power_cut(act, *at, keep),
            Step::Time(seconds) => self.now.0 = self.now.0.saturating_add_signed(seconds * 1_000_000_000),
        }
    }

    fn restart(&mut self) {
        // A process that is killed does not close its file: what is reopened is what lay on the disk before that.
        let disk = self.disk.power_cut(|| Keep::Whole);
        self.spool = open(&disk, self.now).expect("what was stored opens");
        self.disk = disk;
        self.out.clear();
        self.model.restart(self.now);
    }

    fn power_cut(&mut self, act: &Act, at: u64, keep: &[u8]) {
        let mut passed = self.model.clone();
        passed.pass(self.now);
        let before = self.model.clone();
        self.model.pass(self.now);
        self.disk.fail_after(at);
        let done = self.act(act);
        let mut keep = keep.iter().cycle();
        let disk = self.disk.power_cut(|| match keep.next() {
            Some(0) => Keep::Nothing,
            Some(1) => Keep::Half,
            Some(_) | None => Keep::Whole,
        });
        let after = self.model.clone();
        self.spool = open(&disk, self.now).expect("what was stored opens");
        self.disk = disk;
        self.out.clear();
        // What was acknowledged is there; what was not is there or not, as a whole. What time alone ended first is a change
        // of its own.
        let could_be = if done.is_ok() { vec![after] } else { vec![before, passed, after] };
        let mut could_be = could_be.into_iter().map(|mut model| {
            model.restart(self.now);
            model
        });
        self.model =
            could_be.find(|model| differs(&self.spool, model).is_none()).expect("one of the states that could be");
    }

    /// Does the same to both and compares what both say. On an error the reference has done it, and the spool perhaps.
    fn act(&mut self, act: &Act) -> Result<(), SpoolError> {
        let now = self.now;
        match *act {
            Act::Put { id, task, bytes, result, live } => {
                let request = request(id, task, bytes, result, live);
                let expected = self.model.put(&request, now);
                let got = match self.spool.put(&request, now)? {
                    Put::Stored(_) => model::Put::Stored,
                    Put::Duplicate(status) => model::Put::Duplicate(status),
                    Put::Refused(refusal) => model::Put::Refused(refusal),
                };
                assert_eq!(got, expected);
            }
            Act::Begin { task } => {
                let expected = self.model.next(&task_name(task));
                let Some((id, ..)) = expected.clone() else {
                    assert!(self.spool.next(&task_name(task), now)?.is_none());
                    return Ok(());
                };
                let number = self.model.begin(&id);
                let item = self.spool.next(&task_name(task), now)?;
                assert_eq!(item.map(|item| (item.id, item.payload, item.attempts, item.in_doubt)), expected);
                self.begin(&id, number)?;
            }
            Act::BeginAny { id } => {
                let number = self.model.begin(&id_of(id));
                self.begin(&id_of(id), number)?;
            }
            Act::Deliver { which, bytes } => {
                let Some(attempt) = self.take_out(which) else { return Ok(()) };
                let result = vec![bytes; usize::from(bytes)];
                let expected = self.model.delivered(attempt.id(), &result);
                assert_eq!(self.spool.delivered(&attempt, &result, now)?, expected);
                assert_eq!(self.spool.delivered(&attempt, &result, now)?, expected, "a second report");
            }
            Act::Fail { which, how } => {
                let Some(attempt) = self.take_out(which) else { return Ok(()) };
                let failure = [Failure::Transient, Failure::InDoubt, Failure::Permanent, Failure::NotSent]
                    [usize::from(how)](ReasonNumber(7));
                let expected = self.model.failed(attempt.id(), failure);
                assert_eq!(self.spool.failed(&attempt, failure, now)?, expected);
            }
            Act::Reject { id } => {
                let expected = self.model.reject(&id_of(id), ReasonNumber(9));
                assert_eq!(self.spool.reject(&id_of(id), ReasonNumber(9), now)?, expected);
            }
            Act::Answer { id } => assert_eq!(self.spool.answer(&id_of(id), now)?, self.model.answer(&id_of(id))),
            Act::Acknowledge { id } => {
                let expected = self.model.acknowledge(&id_of(id));
                assert_eq!(self.spool.acknowledge(&id_of(id), now)?, expected);
            }
            Act::Retry { which } => {
                let Some(letter) = self.model.dead_letters().into_iter().nth(usize::from(which)) else { return Ok(()) };
                let expected = self.model.retry(letter.position);
                assert_eq!(self.spool.retry(letter.position, now)?, expected);
            }
            Act::Purge { which } => {
                let Some(letter) = self.model.dead_letters().into_iter().nth(usize::from(which)) else { return Ok(()) };
                let expected = self.model.purge(letter.position);
                assert_eq!(self.spool.purge(letter.position, now)?, expected);
            }
        }
        Ok(())
    }

    fn begin(&mut self, id: &Id, number: Option<u32>) -> Result<(), SpoolError> {
        let begun = self.spool.begin(id, self.now)?;
        match (begun, number) {
            (Begin::Begun(attempt), Some(number)) => {
                assert_eq!((attempt.id(), attempt.number()), (id, number));
                self.out.push(attempt);
            }
            (Begin::NotNext, None) => {}
            (begun, number) => panic!("{begun:?} where the reference says {number:?}"),
        }
        Ok(())
    }

    /// One of the attempts that are out, another one for another number.
    fn take_out(&mut self, which: u8) -> Option<Attempt> {
        let at = usize::from(which).checked_rem(self.out.len())?;
        Some(self.out.swap_remove(at))
    }

    fn compare(&mut self) {
        self.model.pass(self.now);
        // Whatever is asked first lets the time pass in the spool as well.
        assert_eq!(self.spool.answer(&id("nobody's"), self.now).expect("the disk is well"), Answer::Unknown);
        if let Some(difference) = differs(&self.spool, &self.model) {
            panic!("{difference}");
        }
    }
}

/// Where the two tell a client or an operator different things.
fn differs(spool: &Spool, model: &Model) -> Option<String> {
    let (got, expected) = (spool.ledger(), model.ledger());
    if got != expected || !got.is_balanced() {
        return Some(format!("ledger {got:?}, expected {expected:?}"));
    }
    for id in (0..IDS).map(id_of) {
        let (got, expected) = (spool.status(&id), model.status(&id));
        if got != expected {
            return Some(format!("{id}: {got:?}, expected {expected:?}"));
        }
    }
    let (got, expected) = (spool.dead_letters(None, usize::MAX), model.dead_letters());
    (got != expected).then(|| format!("dead letters {got:?}, expected {expected:?}"))
}

fn request(id: u8, task: u8, bytes: u16, result: u64, live: u64) -> Request {
    Request {
        id: id_of(id),
        task: task_name(task),
        context: vec![task; usize::from(id)],
        payload: vec![id; usize::from(bytes)],
        time_to_live: Duration::from_secs(live),
        result_bytes: result,
    }
}

fn id_of(number: u8) -> Id {
    id(&format!("line/client/{number}"))
}

fn task_name(number: u8) -> Task {
    task(&format!("labels-{number}"))
}
