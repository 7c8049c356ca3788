//! Why: every refusal, fallback, miss and alarm, each one row of one table.
//!
//! Responses, logs, metrics, pages and recordings carry the same number. A number is never used again
//! for something else.

mod table;

use message::ReasonNumber;

pub use table::TABLE;

/// Which kind of outcome a reason explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonKind {
    /// The observation was refused.
    Refusal,
    /// A fallback was sent in the model's place.
    Fallback,
    /// No response was handed over in time: a breach.
    Miss,
    /// The operator must know; no single observation is concerned.
    Alarm,
    /// Told to controllers outside the response topic.
    Notice,
    /// A hand-off to a cluster gave nothing: it explains the fallback that was sent in its place, the refusal of a
    /// one-off, or the failure of a plan.
    HandOff,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The reason that this row explains.
    pub reason: Reason,
    /// The stable number, printed as `E-214`.
    pub number: u16,
    /// What kind of outcome it explains.
    pub kind: ReasonKind,
    /// The stable name, in `kebab-case`.
    pub name: &'static str,
    /// What happened.
    pub what: &'static str,
    /// What to do.
    pub action: &'static str,
    /// What happened, in Japanese.
    pub what_ja: &'static str,
    /// What to do, in Japanese.
    pub action_ja: &'static str,
}

/// Why an observation was refused, answered by a fallback or missed, or why an alarm was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The frame is shorter than an observation's fixed fields.
    Truncated,
    /// The frame does not begin as little-endian CDR.
    Encapsulation,
    /// The frame holds another message type.
    WrongType,
    /// The declared length of the values does not fit the frame.
    WrongLength,
    /// The checksum does not hold.
    Checksum,
    /// The sequence is zero.
    SequenceZero,
    /// The frame is larger than any observation of this task.
    TooLarge,
    /// The values are not as many as the contract declares.
    ValuesLength,
    /// A value of the observation is NaN or infinite.
    ObservationNotFinite,
    /// No such robot and task on this box.
    UnknownTask,
    /// The frame was addressed to another robot or task.
    Address,
    /// The controller was built for another contract.
    Contract,
    /// The epoch was retired.
    Epoch,
    /// The controller changes its epoch too often.
    EpochRate,
    /// The sequence is not newer than the last one accepted.
    Sequence,
    /// The budget leaves no room, or is longer than the task's deadline.
    Budget,
    /// The queue was full.
    Overload,
    /// The box is shutting down.
    Draining,
    /// A query was sent where a topic is meant.
    QueryOnTopic,
    /// A new epoch of the same controller took over.
    EpochRetired,
    /// The observation came too soon after the ones before it.
    Period,
    /// The sample's sender was taken over from.
    SourceRetired,
    /// An input's senders change too often.
    SourceRate,
    /// The sample's stamp lies in the future.
    StampAhead,
    /// The message is no picture's.
    PictureMalformed,
    /// The picture is not of a declared kind or size.
    PictureUnfit,
    /// The picture's compressed data are broken.
    PictureBroken,
    /// The picture was shown before.
    PictureRepeated,
    /// The model did not answer in time.
    Late,
    /// No worker became free in time.
    Unstarted,
    /// A newer observation fell due first.
    Overtaken,
    /// The model's action holds NaN or infinity.
    ActionNotFinite,
    /// The model's action left the envelope's range.
    OutOfRange,
    /// The model's action changed faster than the envelope allows.
    TooFast,
    /// The model failed to run.
    ModelFailed,
    /// The model's timing record is void, and the task rests.
    Resting,
    /// No worker can finish in time any more.
    NoTimeLeft,
    /// A joined input has no sample.
    InputMissing,
    /// A joined input's newest sample is too old.
    InputTooOld,
    /// The connection has no plan yet.
    PlanMissing,
    /// The connection's plan has ended.
    PlanRanOut,
    /// The deadline passed before a response could be handed over.
    DeadlinePassed,
    /// The deadline passed before the frame could be admitted.
    ExpiredOnArrival,
    /// The link refused to take the response.
    LinkFailed,
    /// A worker overran too often.
    WorkerOverruns,
    /// A worker's inference hangs.
    WorkerHang,
    /// No worker is left for a model.
    NoWorkerLeft,
    /// The engine's thread makes no progress.
    EngineStalled,
    /// A model's inferences take longer than its timing record says.
    RecordExceeded,
    /// A device lowered its clock.
    Throttled,
    /// A setting is another than a timing record was taken with.
    SettingChanged,
    /// The audit journal cannot take records.
    JournalFailing,
    /// The journal's head cannot be copied to its second place.
    AnchorFailing,
    /// The residency policy was withdrawn or cannot be read.
    PolicyInvalid,
    /// An endpoint of a cluster fails its probes.
    EndpointDown,
    /// A cluster is reached without TLS.
    LinkInsecure,
    /// The box shuts down.
    Farewell,
    /// The residency policy does not allow a hand-off.
    HandOffDenied,
    /// Something in a hand-off has no data class.
    ClassUndeclared,
    /// No residency policy is in force.
    NoPolicy,
    /// The policy changed while a hand-off was sent.
    HandOffRevoked,
    /// The audit journal cannot take an attempt's record.
    JournalRefused,
    /// No peer proved who it is.
    IdentityUnproven,
    /// No endpoint can be reached, or none is healthy.
    NoEndpoint,
    /// The cluster did not answer in time.
    HandOffTimedOut,
    /// The cluster's answer is not what was declared.
    WrongAnswer,
    /// The cluster refused a request, or failed at it.
    ClusterFailed,
    /// As many hand-offs are in flight as may be.
    HandOffOverload,
    /// The spool has no room.
    SpoolFull,
    /// A durable request cannot be delivered.
    DeadLetter,
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = TABLE.len();

    /// This reason's row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        TABLE.get(self.index()).expect("the table has a row for each reason, in order: a test compares them")
    }

    /// The number as responses carry it.
    #[must_use]
    pub fn number(self) -> ReasonNumber {
        ReasonNumber::new(self.row().number).expect("no row's number is zero: a test reads them all")
    }

    /// The reason with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        TABLE.iter().find(|row| row.number == number).map(|row| row.reason)
    }

    /// Its place in [`TABLE`], for counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let row = self.row();
        write!(formatter, "E-{} {}", row.number, row.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_row_and_a_number_of_its_own() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.reason.index(), place, "{} is out of order", row.name);
            assert_eq!(Reason::from_number(row.number), Some(row.reason), "{} shares its number", row.name);
            assert_eq!(
                row.number / 100 >= 3,
                row.kind != ReasonKind::Refusal,
                "{} is numbered as another kind",
                row.name
            );
            assert!(ReasonNumber::new(row.number).is_some());
            for text in [row.what, row.action, row.what_ja, row.action_ja] {
                assert!(!text.is_empty(), "{} lacks a text", row.name);
            }
        }
    }
}
