//! guard: raw action -> [`Guarded`], or the reason for a fallback; and the fallback itself.
//!
//! Nothing but this file builds a [`Guarded`], and the link accepts nothing else as an action.
//! Nor a [`Ranged`], which the link accepts as a result and never as an action.
//! The path to a fallback is total: [`fallback`] returns a `Guarded`, whatever happened before.

use crate::{
    reason::Reason,
    reference::Reference,
    task::{Element, Envelope, MAX_ACTION, TooFast},
    time::{Duration, Instant},
};

/// Values that passed the task's envelope, and where they come from.
#[derive(Debug)]
pub struct Guarded {
    values: Values,
    origin: Origin,
}

/// Checked values, held inline so that nobody can change what was guarded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Values {
    elements: [f32; MAX_ACTION],
    len: usize,
}

/// A result that is finite and in the envelope's range. It is no action: no last action measures how fast it changes.
#[derive(Debug)]
pub struct Ranged(Values);

impl Ranged {
    /// The values, one for each element of the task's action.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        self.0.as_slice()
    }
}

/// Results that are finite and complete. They stay in their slot, which nobody writes until their reply has left.
#[derive(Debug)]
pub struct Complete {
    _checked: (),
}

/// Where guarded values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The model computed them.
    Model {
        /// The rate limit changed them.
        clamped: bool,
    },
    /// They stand in for the model's, for this reason.
    Fallback(Reason),
}

impl Guarded {
    /// The values, one for each element of the task's action.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        self.values.as_slice()
    }

    /// Where they come from.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// For the fault that does not say that the rate limit changed an action.
    pub(crate) const fn unmarked(mut self) -> Self {
        if let Origin::Model { clamped } = &mut self.origin {
            *clamped = false;
        }
        self
    }

    pub(crate) const fn held(&self) -> Values {
        self.values
    }
}

impl Values {
    /// One value for each element, from `value(element, its place)`, inside the range whatever `value` returns.
    pub(crate) fn within(envelope: &Envelope<'_>, value: impl Fn(&Element, usize) -> f32) -> Self {
        let mut elements = [0.0; MAX_ACTION];
        for (place, (slot, element)) in elements.iter_mut().zip(envelope.elements()).enumerate() {
            let wanted = value(element, place);
            *slot = if wanted.is_nan() { element.rest } else { wanted.clamp(element.min, element.max) };
        }
        Self { elements, len: envelope.elements().len() }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        self.elements.get(..self.len).expect("an envelope has at most MAX_ACTION elements: Envelope::new checks")
    }

    pub(crate) fn at(&self, place: usize) -> f32 {
        self.elements.get(place).copied().unwrap_or(0.0)
    }
}

/// Checks a model's action against the envelope, measured from `reference` at `now`.
///
/// # Errors
/// The reason for the fallback that must go out in its place.
pub(crate) fn action(
    envelope: &Envelope<'_>,
    reference: &Reference,
    now: Instant,
    raw: &[f32],
) -> Result<Guarded, Reason> {
    in_range(envelope, raw)?;
    let (from, step) = (reference.values(), reference.step(now, envelope.max_step()));
    let wanted = |place: usize| raw.get(place).copied().unwrap_or(0.0);
    let limited = Values::within(envelope, |element, place| towards(from.at(place), wanted(place), element, step));
    let clamped = limited.as_slice().iter().zip(raw).any(|(limited, raw)| limited.to_bits() != raw.to_bits());
    match envelope.too_fast() {
        TooFast::Fallback if clamped && !reference.clamps_next() => Err(Reason::TooFast),
        TooFast::Fallback | TooFast::Clamp => Ok(Guarded { values: limited, origin: Origin::Model { clamped } }),
    }
}

/// Checks the model's result for a one-off request.
///
/// # Errors
/// Why it is refused.
pub(crate) fn result(envelope: &Envelope<'_>, raw: &[f32]) -> Result<Ranged, Reason> {
    in_range(envelope, raw)?;
    Ok(Ranged(Values::within(envelope, |_, place| raw.get(place).copied().unwrap_or(0.0))))
}

/// Checks the results of a model that gives no action.
///
/// # Errors
/// Why they are refused.
pub(crate) fn results(wanted: usize, raw: &[f32]) -> Result<Complete, Reason> {
    if raw.len() != wanted {
        return Err(Reason::ModelFailed);
    }
    if raw.iter().all(|value| value.is_finite()) { Ok(Complete { _checked: () }) } else { Err(Reason::ActionNotFinite) }
}

/// Whether values may leave, but for how fast they change.
///
/// # Errors
/// Why they may not.
pub(crate) fn in_range(envelope: &Envelope<'_>, raw: &[f32]) -> Result<(), Reason> {
    if raw.len() != envelope.elements().len() {
        return Err(Reason::ModelFailed);
    }
    if !raw.iter().all(|value| value.is_finite()) {
        return Err(Reason::ActionNotFinite);
    }
    if !raw.iter().zip(envelope.elements()).all(|(value, element)| (element.min..=element.max).contains(value)) {
        return Err(Reason::OutOfRange);
    }
    Ok(())
}

/// The values that stand in for the model's: the last action while `hold` lasts, then a ramp towards rest.
pub(crate) fn fallback(
    envelope: &Envelope<'_>,
    reference: &Reference,
    now: Instant,
    hold: Duration,
    reason: Reason,
) -> Guarded {
    let (from, step) = (reference.values(), reference.step(now, envelope.max_step()));
    let values = if reference.holds(now, hold) {
        Values::within(envelope, |_, place| from.at(place))
    } else {
        Values::within(envelope, |element, place| towards(from.at(place), element.rest, element, step))
    };
    Guarded { values, origin: Origin::Fallback(reason) }
}

#[cfg(feature = "faults")]
pub(crate) fn unguarded(envelope: &Envelope<'_>, raw: &[f32]) -> Guarded {
    Guarded { values: unchecked(envelope, raw), origin: Origin::Model { clamped: false } }
}

#[cfg(feature = "faults")]
pub(crate) fn unranged(envelope: &Envelope<'_>, raw: &[f32]) -> Ranged {
    Ranged(unchecked(envelope, raw))
}

#[cfg(feature = "faults")]
fn unchecked(envelope: &Envelope<'_>, raw: &[f32]) -> Values {
    let mut elements = [0.0; MAX_ACTION];
    for (slot, value) in elements.iter_mut().zip(raw) {
        *slot = *value;
    }
    Values { elements, len: envelope.elements().len() }
}

/// `wanted`, or as near as the element's rate allows within `step` from `from`.
fn towards(from: f32, wanted: f32, element: &Element, step: Duration) -> f32 {
    let change = element.max_change_per_s * step.seconds();
    if (wanted - from).abs() <= change { wanted } else { from + change.copysign(wanted - from) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Start;

    const MAX_STEP: Duration = Duration::from_micros(10_000);

    fn element() -> Element {
        Element { min: -1.0, max: 1.0, max_change_per_s: 10.0, rest: 0.0, start: Start::Value(0.5) }
    }

    fn started(envelope: &Envelope<'_>) -> Reference {
        let mut reference = Reference::default();
        reference.offer_start(envelope, core::iter::empty());
        reference
    }

    fn at(micros: u64) -> Instant {
        Instant::from_nanos(micros * 1_000)
    }

    #[test]
    fn nan_infinity_range_and_length_are_refused_by_reason() {
        let elements = [element()];
        let envelope = Envelope::new(&elements, TooFast::Clamp, MAX_STEP).unwrap();
        let reference = started(&envelope);
        let reason = |raw: &[f32]| action(&envelope, &reference, at(0), raw).unwrap_err();
        assert_eq!(reason(&[f32::NAN]), Reason::ActionNotFinite);
        assert_eq!(reason(&[f32::NEG_INFINITY]), Reason::ActionNotFinite);
        assert_eq!(reason(&[1.01]), Reason::OutOfRange);
        assert_eq!(reason(&[]), Reason::ModelFailed);
    }

    #[test]
    fn the_first_action_is_measured_from_start_over_the_longest_step() {
        let elements = [element()];
        let envelope = Envelope::new(&elements, TooFast::Clamp, MAX_STEP).unwrap();
        let guarded = action(&envelope, &started(&envelope), at(0), &[-1.0]).unwrap();
        assert_eq!(guarded.values(), [0.4]);
        assert_eq!(guarded.origin(), Origin::Model { clamped: true });
    }

    #[test]
    fn too_fast_is_a_fallback_where_declared_but_clamped_right_after_one() {
        let elements = [element()];
        let envelope = Envelope::new(&elements, TooFast::Fallback, MAX_STEP).unwrap();
        let mut reference = started(&envelope);
        assert_eq!(action(&envelope, &reference, at(0), &[-1.0]).unwrap_err(), Reason::TooFast);
        let stand_in = fallback(&envelope, &reference, at(0), Duration::ZERO, Reason::TooFast);
        reference.advance(stand_in.held(), stand_in.origin(), at(0));
        let guarded = action(&envelope, &reference, at(2_000), &[-1.0]).unwrap();
        assert_eq!(guarded.origin(), Origin::Model { clamped: true });
    }

    #[test]
    fn a_fallback_holds_then_ramps_to_rest_and_stays_there() {
        let elements = [element()];
        let envelope = Envelope::new(&elements, TooFast::Clamp, MAX_STEP).unwrap();
        let hold = Duration::from_micros(5_000);
        let mut reference = started(&envelope);
        let first = action(&envelope, &reference, at(0), &[0.5]).unwrap();
        reference.advance(first.held(), first.origin(), at(0));
        let mut sent = |micros| {
            let guarded = fallback(&envelope, &reference, at(micros), hold, Reason::Late);
            reference.advance(guarded.held(), guarded.origin(), at(micros));
            guarded.values().first().copied().unwrap()
        };
        assert_eq!([sent(2_000), sent(5_000)].map(f32::to_bits), [0.5f32, 0.5].map(f32::to_bits));
        assert!((sent(7_000) - 0.48).abs() < 1e-6, "ramps at the rate, over the time since the last send");
        assert!((sent(1_000_000) - 0.38).abs() < 1e-6, "over the longest step at most");
        for step in 1..10 {
            sent(1_000_000 + 100_000 * step);
        }
        assert_eq!(sent(3_000_000).to_bits(), 0f32.to_bits());
    }
}
