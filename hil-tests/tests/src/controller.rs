//! A controller at 500 Hz that keeps its own books, from nothing but what it sent and what came back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use message::{Epoch, Sequence};
use plants::OBSERVATION_ELEMENTS;
use rig::{Answer, Calibration, Inbox, Ledger, Link, Moment, Outbox, Site, Watch, What, calibrate};

use crate::{
    genba::{Genba, eventually},
    judge::Window,
    scheduling,
    status::Counts,
};

/// The arm where the part's ride begins, at rest on its target: the model's torques are small.
pub const HOME: [f32; OBSERVATION_ELEMENTS] = {
    let mut elements = [0.0; OBSERVATION_ELEMENTS];
    let joints = [-0.8067, -1.1793, 1.6440, -2.0354, -1.571, -0.8067];
    let mut joint = 0;
    while joint < joints.len() {
        elements[joint] = joints[joint];
        joint += 1;
    }
    elements
};

const PERIOD: Duration = Duration::from_millis(2);
/// After the last observation, its answer and whatever should not come are awaited for this long.
const LINGER: Duration = Duration::from_millis(300);
/// Room is made before the run, so that no page fault holds up the loop.
const OBSERVATIONS: usize = 1 << 16;

/// A controller that is connected.
pub struct Controller {
    site: Site,
    outbox: Outbox,
    inbox: Inbox,
    watch: Watch,
    epoch: Epoch,
}

/// A controller at work on its own thread.
pub struct Working {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<(Account, Controller)>,
}

/// What one epoch of a controller sent and received.
#[derive(Debug)]
pub struct Account {
    deadline: Duration,
    sent: Vec<Moment>,
    answers: Vec<Answer>,
    ledger: Ledger,
    epoch: Epoch,
}

impl Controller {
    /// Connects a robot's controller to its box, in a new epoch.
    ///
    /// # Panics
    /// If the box does not listen to it.
    #[must_use]
    pub fn connect(genba: &Genba, robot: &str) -> Self {
        let site = genba.site(robot);
        let (outbox, inbox, watch) = Link::open(genba.endpoint(), &site).expect("a robot's session opens").split();
        eventually("the box listens", || outbox.is_heard().then_some(()));
        Self { site, outbox, inbox, watch, epoch: new_epoch() }
    }

    /// Restarts: the same robot, in a new epoch.
    #[must_use]
    pub fn restarted(self) -> Self {
        Self { epoch: new_epoch(), ..self }
    }

    /// This start of the controller.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What it sees of the box besides answers.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Measures, in an epoch of its own, how long the model hangs for an iteration.
    ///
    /// # Panics
    /// If the box does not answer.
    pub fn calibrate(&mut self) -> Calibration {
        eventually("the model's time is measured", || {
            // A machine that stands still spoils the measurement, not the test.
            let measured = calibrate(&mut self.outbox, &mut self.inbox, new_epoch(), &HOME);
            measured.inspect_err(|error| println!("measures once more: {error}")).ok()
        })
    }

    /// Sends an observation each 2 ms: `next` looks at the account so far and says for how many iterations the
    /// model hangs on it, or `None` to end.
    ///
    /// # Panics
    /// If the link fails.
    pub fn run(mut self, mut next: impl FnMut(&Account) -> Option<f32> + Send) -> (Account, Self) {
        thread::scope(|scope| scope.spawn(|| self.work(&mut next)).join().expect("the controller's loop ends"))
            .with(self)
    }

    /// Sends ordinary observations on a thread of its own until it is told to stop.
    #[must_use]
    pub fn start(self) -> Working {
        self.start_with(0.0)
    }

    /// The same, with observations on which the model hangs for so many iterations.
    #[must_use]
    pub fn start_with(self, hang: f32) -> Working {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopping, counting) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            self.run(|account| {
                counting.store(account.sent(), Ordering::Relaxed);
                (!stopping.load(Ordering::Relaxed)).then_some(hang)
            })
        });
        Working { stop, sent, thread }
    }

    fn work(&mut self, next: &mut impl FnMut(&Account) -> Option<f32>) -> Account {
        // Without real-time rights the judge says nothing about time anyway.
        let _ = rig::raise(0, scheduling::CONTROLLER);
        let _ = rig::raise_link(scheduling::CONTROLLER_LINK);
        let mut account = Account::new(self.site.deadline, self.epoch);
        let start = Moment::now() + PERIOD;
        let mut newest = None;
        for tick in 0.. {
            let due = start + PERIOD * tick;
            due.sleep();
            while let Some(arrival) = self.inbox.poll() {
                newest = account.note(arrival).max(newest);
            }
            let Some(hang) = next(&account) else { break };
            if Moment::now() < due + PERIOD {
                let sequence = Sequence::new(account.sent() + 1).expect("it counts from 1");
                let sent = self.outbox.send(self.epoch, sequence, newest, &HOME, hang);
                account.sent_at(sent.expect("an open session takes observations"));
            }
        }
        let end = Moment::now() + self.site.deadline + LINGER;
        while Moment::now() < end {
            if let Some(arrival) = self.inbox.wait(end.since(Moment::now())) {
                account.note(arrival);
            }
        }
        assert_eq!(self.inbox.overflowed(), 0, "the test lost answers itself");
        account
    }
}

impl Working {
    /// How many observations it has sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until it has sent so many more.
    pub fn await_more(&self, observations: u64) {
        let until = self.sent() + observations;
        eventually("the controller has sent enough", || (self.sent() >= until).then_some(()));
    }

    /// Ends it.
    ///
    /// # Panics
    /// If it failed.
    #[must_use]
    pub fn stop(self) -> (Account, Controller) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the controller's loop ends")
    }
}

impl Account {
    fn new(deadline: Duration, epoch: Epoch) -> Self {
        let (sent, answers) = (Vec::with_capacity(OBSERVATIONS), Vec::with_capacity(OBSERVATIONS));
        Self { deadline, sent, answers, ledger: Ledger::with_capacity(OBSERVATIONS), epoch }
    }

    /// How many observations were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.len() as u64
    }

    /// The rig's ledger of them.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What came, in order.
    #[must_use]
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// When this observation was sent.
    ///
    /// # Panics
    /// If it was not.
    #[must_use]
    pub fn moment_of(&self, sequence: u64) -> Moment {
        let place = usize::try_from(sequence - 1).expect("a test's sequences are small");
        self.sent[place]
    }

    /// How many observations a fallback answered for this reason.
    #[must_use]
    pub fn fallbacks(&self, reason: engine::Reason) -> u64 {
        self.ledger.totals().fallbacks.get(&reason.row().number).copied().unwrap_or(0)
    }

    /// From each observation to its deadline, and whether it got there without an action or fallback as new.
    #[must_use]
    pub fn windows(&self) -> Vec<Window> {
        self.windows_where(|what| matches!(what, What::Model(_) | What::Fallback(..)))
    }

    /// The same, where a fallback counts as missed.
    #[must_use]
    pub fn windows_of_the_model(&self) -> Vec<Window> {
        self.windows_where(|what| matches!(what, What::Model(_)))
    }

    fn windows_where(&self, answers: impl Fn(&What) -> bool) -> Vec<Window> {
        let mut missed = vec![true; self.sent.len()];
        let mut covered = 0;
        for answer in &self.answers {
            let Some(sequence) = answer.sequence else { continue };
            let Ok(through) = usize::try_from(sequence.value()) else { continue };
            if answers(&answer.what) {
                let through = through.min(missed.len());
                missed[covered.min(through)..through].fill(false);
                covered = covered.max(through);
            }
        }
        for answer in &self.answers {
            if let (What::Refusal(_), Some(sequence)) = (answer.what, answer.sequence)
                && let Some(entry) = usize::try_from(sequence.value() - 1).ok().and_then(|at| missed.get_mut(at))
            {
                *entry = true;
            }
        }
        let windows = self.sent.iter().zip(missed);
        windows.map(|(from, missed)| Window { from: *from, until: *from + self.deadline, missed }).collect()
    }

    /// From the sending of each observation in this time to the action or fallback that answered it, its own or a newer
    /// one's. What was never answered has none.
    #[must_use]
    pub fn round_trips(&self, from: Moment, until: Moment) -> Vec<Duration> {
        let mut taken = Vec::new();
        let mut next = self.sent.partition_point(|sent| *sent < from);
        for answer in &self.answers {
            let (What::Model(_) | What::Fallback(..), Some(sequence)) = (&answer.what, answer.sequence) else {
                continue;
            };
            let through = usize::try_from(sequence.value()).unwrap_or(usize::MAX).min(self.sent.len());
            for sent in self.sent[next.min(through)..through].iter().filter(|sent| **sent < until) {
                taken.push(answer.at.since(*sent));
            }
            next = next.max(through);
        }
        taken
    }

    /// Compares with the box's account of the same observations; how many of them, or of their answers, were lost
    /// on the link: sent = answered + refused + superseded + missed + lost.
    ///
    /// # Panics
    /// If anything was answered twice, late, out of order or unasked, or the box claims less than was seen.
    #[must_use]
    pub fn lost(&self, of_box: &Counts) -> u64 {
        self.assert_exact();
        let ours = self.ledger.totals();
        let pairs = [
            ("sent", of_box.received, self.sent()),
            ("model", ours.model, of_box.model),
            ("fallback", ours.fallback(), of_box.fallback),
            ("refused", ours.refusals(), of_box.refused),
            ("missed", ours.misses(), of_box.missed),
        ];
        for (what, fewer, more) in pairs {
            assert!(fewer <= more, "{what}: {fewer} is more than {more}: {ours:?} here, {of_box:?} there");
        }
        for (number, count) in ours.fallbacks.iter().chain(&ours.refused).chain(&ours.missed) {
            let theirs = of_box.reasons.get(number).copied().unwrap_or(0);
            assert!(*count <= theirs, "E-{number}: {count} here, {theirs} there");
        }
        let lost = pairs.iter().map(|(_, fewer, more)| more - fewer).sum();
        let answered = ours.model + ours.fallback();
        let ended = answered + ours.refusals() + of_box.superseded + ours.misses() + lost;
        assert_eq!(self.sent(), ended, "the ledgers do not agree: {ours:?} here, {of_box:?} there");
        lost
    }

    /// What no machine excuses.
    ///
    /// # Panics
    /// If anything was answered twice, late, out of order or unasked.
    pub fn assert_exact(&self) {
        let totals = self.ledger.totals();
        let wrong = (totals.twice, totals.out_of_order, totals.unasked, totals.malformed, totals.over_age);
        assert_eq!(wrong, (0, 0, 0, 0, 0), "twice, out of order, unasked, malformed, late: {totals:?}");
    }

    fn sent_at(&mut self, at: Moment) {
        self.sent.push(at);
        self.ledger.sent(at);
    }

    /// Notes an arrival; its sequence if it is an action or fallback.
    fn note(&mut self, arrival: Result<Answer, rig::Unread>) -> Option<Sequence> {
        match arrival {
            // What an epoch before this one left open.
            Ok(answer) if answer.epoch != self.epoch => None,
            Ok(answer) => {
                self.ledger.received(&answer, self.deadline);
                self.answers.push(answer);
                answer.what.torque().and(answer.sequence)
            }
            Err(rig::Unread::Malformed) => {
                self.ledger.malformed();
                None
            }
            Err(rig::Unread::Stray) => {
                self.ledger.unasked();
                None
            }
        }
    }

    fn with(self, controller: Controller) -> (Self, Controller) {
        (self, controller)
    }
}

/// A number that no other start of a controller has.
fn new_epoch() -> Epoch {
    static STARTS: AtomicU64 = AtomicU64::new(0);
    Epoch::new(Moment::now().as_nanos() ^ STARTS.fetch_add(1, Ordering::Relaxed) << 56)
}
