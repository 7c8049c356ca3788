//! How well the arm tracks: the distance from tool to part, every 2 ms.

/// The arm starts at rest on a part that moves off: errors count from here.
const SETTLED_MS: u32 = 600;

/// The tracking error of a run.
#[derive(Debug, Default)]
pub struct Tracking {
    squares: f64,
    count: u32,
    max_m: f64,
    trace: Vec<(u32, f64)>,
}

impl Tracking {
    /// Notes the distance in m at this millisecond.
    pub fn note(&mut self, now_ms: u32, error_m: f64) {
        self.trace.push((now_ms, error_m));
        if now_ms >= SETTLED_MS {
            self.squares += error_m * error_m;
            self.count += 1;
            self.max_m = self.max_m.max(error_m);
        }
    }

    /// Root of the mean square in mm, once the arm has settled; none before.
    #[must_use]
    pub fn rms_mm(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / f64::from(self.count)).sqrt() * 1000.0)
    }

    /// The largest error in mm, once the arm has settled.
    #[must_use]
    pub fn max_mm(&self) -> f64 {
        self.max_m * 1000.0
    }

    /// The last error in mm.
    #[must_use]
    pub fn now_mm(&self) -> Option<f64> {
        self.trace.last().map(|(_, error_m)| error_m * 1000.0)
    }

    /// The largest error in mm of each span of this many milliseconds, with the span's begin.
    #[must_use]
    pub fn peaks_mm(&self, span_ms: u32) -> Vec<(u32, f64)> {
        self.trace
            .chunk_by(|a, b| a.0 / span_ms == b.0 / span_ms)
            .map(|span| {
                let peak = span.iter().map(|(_, error_m)| error_m * 1000.0).fold(0.0, f64::max);
                (span[0].0 / span_ms * span_ms, peak)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_mean_square_begins_when_the_arm_has_settled() {
        let mut tracking = Tracking::default();
        tracking.note(598, 1.0);
        assert_eq!(tracking.rms_mm(), None);
        for (now_ms, error_m) in [(600, 0.003), (602, 0.004), (604, 0.0)] {
            tracking.note(now_ms, error_m);
        }
        let expected = (25.0_f64 / 3.0).sqrt();
        assert!((tracking.rms_mm().expect("it has settled") - expected).abs() < 1e-12);
        assert!((tracking.max_mm() - 4.0).abs() < 1e-12);
        assert_eq!(tracking.now_mm(), Some(0.0));
    }

    #[test]
    fn no_peak_is_lost() {
        let mut tracking = Tracking::default();
        for now_ms in (0..100).step_by(2) {
            tracking.note(now_ms, if now_ms == 36 { 0.009 } else { 0.001 });
        }
        let peaks = tracking.peaks_mm(10);
        assert_eq!(peaks.len(), 10);
        assert_eq!(peaks[3], (30, 9.0));
        assert_eq!(peaks[4].0, 40);
    }
}
