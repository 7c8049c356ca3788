//! What a box says of itself: `genba status --json`, read as any program would.

use std::{collections::BTreeMap, ops::Sub, time::Duration};

use serde_json::Value;

/// One report.
#[derive(Debug)]
pub struct Status(Value);

/// One ledger of the box.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the terms of the design")]
pub struct Counts {
    pub received: u64,
    pub model: u64,
    pub fallback: u64,
    pub superseded: u64,
    pub refused: u64,
    pub missed: u64,
    pub in_flight: u64,
    pub discarded_late_results: u64,
    /// By number.
    pub reasons: BTreeMap<u16, u64>,
}

/// What became of a joined input's samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the terms of the design")]
pub struct InputStatus {
    pub received: u64,
    pub taken: u64,
    pub passed_over: u64,
    pub refused: u64,
    /// Of the newest one; none before the first.
    pub age_us: Option<u64>,
    /// By number.
    pub reasons: BTreeMap<u16, u64>,
}

/// A ledger of one-off requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the terms of the design")]
pub struct Requests {
    pub received: u64,
    pub answered: u64,
    pub refused: u64,
    pub expired: u64,
    pub in_flight: u64,
}

impl Status {
    /// Reads a report.
    ///
    /// # Panics
    /// If it is no JSON, or a ledger in it does not balance (P6).
    #[must_use]
    pub fn read(json: &[u8]) -> Self {
        let this = Self(serde_json::from_slice(json).expect("the status is JSON"));
        let connections = this.0["connections"].as_array().expect("the status has connections");
        for ledger in connections.iter().map(|line| &line["counts"]).chain([&this.0["total"]]) {
            let counts = Counts::read(ledger);
            let Counts { received, model, fallback, superseded, refused, missed, in_flight, .. } = counts;
            assert_eq!(received, model + fallback + superseded + refused + missed + in_flight, "P6: {ledger}");
            assert_eq!(ledger["balances"], true, "{ledger}");
        }
        let clients = this.0["clients"].as_array().expect("the status has clients");
        for ledger in clients.iter().map(|line| &line["requests"]).chain([&this.0["requests"]]) {
            let Requests { received, answered, refused, expired, in_flight } = Requests::read(ledger);
            assert_eq!(received, answered + refused + expired + in_flight, "P6: {ledger}");
            assert_eq!(ledger["balances"], true, "{ledger}");
        }
        for input in this.0["inputs"].as_array().expect("the status has inputs") {
            let InputStatus { received, taken, passed_over, refused, .. } = InputStatus::read(input);
            assert_eq!(received, taken + passed_over + refused, "P6: {input}");
            assert_eq!(input["balances"], true, "{input}");
        }
        this
    }

    /// The boot's id.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn boot(&self) -> u64 {
        let text = self.0["boot"].as_str().expect("a boot is text");
        u64::from_str_radix(text, 16).expect("a boot is hexadecimal")
    }

    /// How long before its deadline a fallback falls due.
    #[must_use]
    pub fn margin(&self) -> Duration {
        Duration::from_micros(number(&self.0["margin_us"]))
    }

    /// One robot's ledger.
    ///
    /// # Panics
    /// If there is no such robot.
    #[must_use]
    pub fn of(&self, robot: &str) -> Counts {
        let lines = self.0["connections"].as_array().expect("the status has connections");
        let line = lines.iter().find(|line| line["robot"] == robot);
        Counts::read(&line.expect("the robot is configured")["counts"])
    }

    /// The demands of one robot's controller that its state begins anew: received, accepted, refused.
    ///
    /// # Panics
    /// If there is no such robot, or its model has no state.
    #[must_use]
    pub fn resets(&self, robot: &str) -> (u64, u64, u64) {
        let lines = self.0["connections"].as_array().expect("the status has connections");
        let line = lines.iter().find(|line| line["robot"] == robot).expect("the robot is configured");
        let resets = &line["resets"];
        (number(&resets["received"]), number(&resets["accepted"]), number(&resets["refused"]))
    }

    /// The whole box's ledger, strays included.
    #[must_use]
    pub fn total(&self) -> Counts {
        Counts::read(&self.0["total"])
    }

    /// One-off requests, and queries on topics: received, refused.
    #[must_use]
    pub fn requests(&self) -> (u64, u64) {
        let requests = Requests::read(&self.0["requests"]);
        (requests.received, requests.refused)
    }

    /// How many requests of all clients are in flight.
    #[must_use]
    pub fn requests_in_flight(&self) -> u64 {
        Requests::read(&self.0["requests"]).in_flight
    }

    /// One client's ledger.
    ///
    /// # Panics
    /// If there is no such client.
    #[must_use]
    pub fn client(&self, client: &str) -> Requests {
        let lines = self.0["clients"].as_array().expect("the status has clients");
        let line = lines.iter().find(|line| line["client"] == client);
        Requests::read(&line.expect("the client is configured")["requests"])
    }

    /// What became of the samples of a joined input of a robot.
    ///
    /// # Panics
    /// If there is no such input.
    #[must_use]
    pub fn input(&self, robot: &str, input: &str) -> InputStatus {
        let lines = self.0["inputs"].as_array().expect("the status has inputs");
        let line = lines.iter().find(|line| line["robot"] == robot && line["input"] == input);
        InputStatus::read(line.expect("the input is configured"))
    }

    /// The first worker's inferences, their observations, and the most of them at once.
    ///
    /// # Panics
    /// If the report has no worker.
    #[must_use]
    pub fn work(&self) -> (u64, u64, u64) {
        let first = &self.0["workers"][0];
        (number(&first["inferences"]), number(&first["observations"]), number(&first["largest_batch"]))
    }

    /// Why each timing record is void; none: it holds.
    ///
    /// # Panics
    /// If the report has no records.
    #[must_use]
    pub fn records(&self) -> Vec<Option<String>> {
        let records = self.0["records"].as_array().expect("the status has records");
        records.iter().map(|record| record["void"].as_str().map(str::to_owned)).collect()
    }

    /// The one cluster's line.
    #[must_use]
    pub fn cluster(&self) -> &Value {
        &self.0["hand_offs"]["clusters"][0]
    }

    /// How often the box allocated on the way of what it answers.
    ///
    /// # Panics
    /// If it was not built to count that.
    #[must_use]
    pub fn own_allocations(&self) -> u64 {
        number(&self.0["own_allocations"])
    }

    /// Each worker's service.
    ///
    /// # Panics
    /// If the report has none.
    #[must_use]
    pub fn workers(&self) -> Vec<String> {
        let workers = self.0["workers"].as_array().expect("the status has workers");
        workers.iter().map(|worker| worker["service"].as_str().expect("a service is text").to_owned()).collect()
    }
}

impl InputStatus {
    fn read(value: &Value) -> Self {
        let at = |name: &str| number(&value[name]);
        Self {
            received: at("received"),
            taken: at("taken"),
            passed_over: at("passed_over"),
            refused: at("refused"),
            age_us: value["age_us"].as_u64(),
            reasons: reasons(&value["reasons"]),
        }
    }
}

impl Requests {
    fn read(value: &Value) -> Self {
        let at = |name: &str| number(&value[name]);
        Self {
            received: at("received"),
            answered: at("answered"),
            refused: at("refused"),
            expired: at("expired"),
            in_flight: at("in_flight"),
        }
    }
}

impl Counts {
    fn read(value: &Value) -> Self {
        let at = |name: &str| number(&value[name]);
        Self {
            received: at("received"),
            model: at("model"),
            fallback: at("fallback"),
            superseded: at("superseded"),
            refused: at("refused"),
            missed: at("missed"),
            in_flight: at("in_flight"),
            discarded_late_results: at("discarded_late_results"),
            reasons: reasons(&value["reasons"]),
        }
    }
}

/// What has happened since an earlier report of the same boot.
impl Sub<&Self> for Counts {
    type Output = Self;

    fn sub(self, earlier: &Self) -> Self {
        let before = |number: &u16| earlier.reasons.get(number).copied().unwrap_or(0);
        let reasons = self.reasons.iter().map(|(number, count)| (*number, count - before(number)));
        Self {
            reasons: reasons.filter(|(_, count)| *count > 0).collect(),
            received: self.received - earlier.received,
            model: self.model - earlier.model,
            fallback: self.fallback - earlier.fallback,
            superseded: self.superseded - earlier.superseded,
            refused: self.refused - earlier.refused,
            missed: self.missed - earlier.missed,
            discarded_late_results: self.discarded_late_results - earlier.discarded_late_results,
            in_flight: self.in_flight,
        }
    }
}

/// A ledger's reasons, by number.
fn reasons(value: &Value) -> BTreeMap<u16, u64> {
    let reasons = value.as_array().expect("a ledger has reasons").iter().map(|reason| {
        let text = reason["number"].as_str().expect("a reason has a number");
        let digits = text.strip_prefix("E-").expect("a reason's number begins with E-");
        (digits.parse().expect("a reason's number is one"), number(&reason["count"]))
    });
    reasons.collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a count is a number")
}
