//! Deliberate faults, one switch each, with which the simulator proves that it can fail.
//!
//! Without the feature `faults` every question is answered `false` at compile time: the shipped binary
//! holds neither the faults nor the way to choose one.

/// One thing that the engine does wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "each name says what goes wrong; public and constructed with the feature only"
)]
pub enum Fault {
    SkipEnvelope,
    SkipRateLimit,
    NoDeadlineOnSend,
    NoMargin,
    NoFallbackWhileRunning,
    SendLateResult,
    SupersedeKeepsOwnDeadline,
    RefusalSupersedes,
    NewerFallbackFirst,
    ForgetSuperseded,
    CountFallbackTwice,
    AdvanceWhenWithheld,
    EpochKeepsReference,
    EpochKeepsSequence,
    AcceptRetiredEpoch,
    AcceptOtherContract,
    AcceptNotFinite,
    AcceptDuplicate,
    FreeSlotWhileRunning,
    LatestDeadlineFirst,
    NeverQuarantine,
    ReuseQuarantined,
    HoldForever,
    MissUntold,
    ClampUnmarked,
    EchoOtherSequence,
    StoreIntoRunningSlot,
    NoFarewell,
    AcceptTooSoon,
    TooSoonMovesBucket,
    TooSoonChangesEpoch,
    EveryEpochAfresh,
    NoEpochAfresh,
    BudgetBuysRank,
    NeverVoid,
    VoidAtOnce,
    DegradedUnmarked,
    UnmeasuredUnmarked,
    DegradedKeepsRate,
    RestRuns,
    BatchMakesMemberLate,
    BatchMakesPassedLate,
    BatchPassesPromised,
    BatchSwapsOutputs,
    BatchWatchedAsOne,
    OneOffBeforeControl,
    OneOffBlames,
    NotRoundRobin,
    QueueUnbounded,
    ReplyTwice,
    RefusedRequestUntold,
    ExpiredResultLeaves,
    ResultUnchecked,
    HopelessStarts,
    HopelessWaits,
    HopelessRequestWaits,
    InputMissingRuns,
    InputTooOldRuns,
    FirstInputOnly,
    InputsJudgedOnArrivalOnly,
    InputAgeUntold,
    OldSampleTaken,
    OlderSampleKept,
    RetiredSourceTaken,
    StampIgnored,
    SampleNotFiniteTaken,
    RepeatedPictureTaken,
    PassedOverUncounted,
    StateAdvancesWhenWithheld,
    StateAdvancesOnDiscard,
    StateAdvancesByFallback,
    StateSurvivesGap,
    StateSurvivesEpoch,
    StateOfAnother,
    StateResetUnmarked,
    ResetTooSoon,
    ResetWithoutEffect,
    ResetOfAnyEpoch,
}

#[cfg(feature = "faults")]
impl Fault {
    /// Every fault.
    pub const ALL: &'static [Self] = &[
        Self::SkipEnvelope,
        Self::SkipRateLimit,
        Self::NoDeadlineOnSend,
        Self::NoMargin,
        Self::NoFallbackWhileRunning,
        Self::SendLateResult,
        Self::SupersedeKeepsOwnDeadline,
        Self::RefusalSupersedes,
        Self::NewerFallbackFirst,
        Self::ForgetSuperseded,
        Self::CountFallbackTwice,
        Self::AdvanceWhenWithheld,
        Self::EpochKeepsReference,
        Self::EpochKeepsSequence,
        Self::AcceptRetiredEpoch,
        Self::AcceptOtherContract,
        Self::AcceptNotFinite,
        Self::AcceptDuplicate,
        Self::FreeSlotWhileRunning,
        Self::LatestDeadlineFirst,
        Self::NeverQuarantine,
        Self::ReuseQuarantined,
        Self::HoldForever,
        Self::MissUntold,
        Self::ClampUnmarked,
        Self::EchoOtherSequence,
        Self::StoreIntoRunningSlot,
        Self::NoFarewell,
        Self::AcceptTooSoon,
        Self::TooSoonMovesBucket,
        Self::TooSoonChangesEpoch,
        Self::EveryEpochAfresh,
        Self::NoEpochAfresh,
        Self::BudgetBuysRank,
        Self::NeverVoid,
        Self::VoidAtOnce,
        Self::DegradedUnmarked,
        Self::UnmeasuredUnmarked,
        Self::DegradedKeepsRate,
        Self::RestRuns,
        Self::BatchMakesMemberLate,
        Self::BatchMakesPassedLate,
        Self::BatchPassesPromised,
        Self::BatchSwapsOutputs,
        Self::BatchWatchedAsOne,
        Self::OneOffBeforeControl,
        Self::OneOffBlames,
        Self::NotRoundRobin,
        Self::QueueUnbounded,
        Self::ReplyTwice,
        Self::RefusedRequestUntold,
        Self::ExpiredResultLeaves,
        Self::ResultUnchecked,
        Self::HopelessStarts,
        Self::HopelessWaits,
        Self::HopelessRequestWaits,
        Self::InputMissingRuns,
        Self::InputTooOldRuns,
        Self::FirstInputOnly,
        Self::InputsJudgedOnArrivalOnly,
        Self::InputAgeUntold,
        Self::OldSampleTaken,
        Self::OlderSampleKept,
        Self::RetiredSourceTaken,
        Self::StampIgnored,
        Self::SampleNotFiniteTaken,
        Self::RepeatedPictureTaken,
        Self::PassedOverUncounted,
        Self::StateAdvancesWhenWithheld,
        Self::StateAdvancesOnDiscard,
        Self::StateAdvancesByFallback,
        Self::StateSurvivesGap,
        Self::StateSurvivesEpoch,
        Self::StateOfAnother,
        Self::StateResetUnmarked,
        Self::ResetTooSoon,
        Self::ResetWithoutEffect,
        Self::ResetOfAnyEpoch,
    ];
}

/// Which fault is switched on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Injected {
    #[cfg(feature = "faults")]
    fault: Option<Fault>,
}

impl Injected {
    #[cfg(feature = "faults")]
    pub(crate) const fn only(fault: Option<Fault>) -> Self {
        Self { fault }
    }

    #[cfg(feature = "faults")]
    pub(crate) fn is(self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    #[cfg(not(feature = "faults"))]
    #[allow(clippy::unused_self, reason = "the same call with and without the feature")]
    pub(crate) const fn is(self, _fault: Fault) -> bool {
        false
    }
}
