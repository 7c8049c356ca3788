//! When something was: by the wall, by the monotonic clock, and how good the wall clock was. No clock is read here.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Reads the box's clocks. Called on the caller's thread for what the caller records, and on the writer's for its own.
pub type Clock = Arc<dyn Fn() -> Stamp + Send + Sync>;

/// One moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since 1970-01-01 00:00:00 UTC, without leap seconds, by the wall clock.
    pub wall_ns: u64,
    /// Nanoseconds on the box's monotonic clock, which begins anew at each boot of the machine.
    pub monotonic_ns: u64,
    /// How good the wall clock was.
    pub clock: ClockQuality,
}

/// How good the wall clock was, as the kernel estimated it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockQuality {
    /// Something disciplined the clock.
    pub synchronised: bool,
    /// The kernel's bound of its error in microseconds; none where the kernel told none.
    pub error_us: Option<u64>,
}

/// A moment as RFC 3339 in UTC with nanoseconds, such as `2026-11-28T23:22:00.000000001Z`.
#[must_use]
pub fn rfc3339(wall_ns: u64) -> String {
    let seconds = wall_ns / 1_000_000_000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", wall_ns % 1_000_000_000)
}

/// A calendar month in UTC, written `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: u64,
    month: u64,
}

impl Month {
    /// The month in which a moment lies.
    #[must_use]
    pub fn of(wall_ns: u64) -> Self {
        let (year, month, _) = date(wall_ns / 1_000_000_000 / 86_400);
        Self { year, month }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}", self.year, self.month)
    }
}

/// Not a month.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a month is written as 2026-11")]
pub struct NotAMonth;

impl FromStr for Month {
    type Err = NotAMonth;

    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let (year, month) = text.split_once('-').ok_or(NotAMonth)?;
        let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(NotAMonth);
        }
        let (year, month) = (year.parse().map_err(|_| NotAMonth)?, month.parse().map_err(|_| NotAMonth)?);
        if (1..=12).contains(&month) { Ok(Self { year, month }) } else { Err(NotAMonth) }
    }
}

/// Year, month and day of a count of days since 1970-01-01: the Gregorian calendar in eras of 400 years that begin on
/// the first of March, so that a leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `date --utc --date=@SECONDS` prints them.
    #[test]
    fn dates_are_those_of_the_calendar() {
        let second = 1_000_000_000;
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(951_782_400 * second), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(rfc3339(951_868_799 * second + 1), "2000-02-29T23:59:59.000000001Z");
        assert_eq!(rfc3339(951_868_800 * second), "2000-03-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(1_795_911_720 * second), "2026-11-29T00:22:00.000000000Z");
        assert_eq!(rfc3339(4_107_542_400 * second), "2100-03-01T00:00:00.000000000Z");
    }

    #[test]
    fn a_month_is_read_as_it_is_written() {
        assert_eq!("2026-11".parse::<Month>().map(|month| month.to_string()), Ok("2026-11".to_owned()));
        assert_eq!(Month::of(1_795_911_720 * 1_000_000_000), "2026-11".parse().expect("a month"));
        for other in ["2026-13", "2026-00", "2026-1", "26-11", "2026", "2026-11-01", "+026-11", ""] {
            assert_eq!(other.parse::<Month>(), Err(NotAMonth), "{other}");
        }
    }
}
