//! The run in pictures: tracking error over time, the moments around the hang, round trips.

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::combinators::BindKeyPoints;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, DrawingArea, IntoDrawingArea, IntoLogRange, PathElement, Rectangle, SVGBackend, Text,
};
use plotters::series::LineSeries;
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle};
use thiserror::Error;

use crate::recording::{MarkKind, Recording};
use crate::round_trips::Bar;
use crate::summary::ms;
use crate::verdict::GOAL_MM;

/// A drawing that failed.
#[derive(Debug, Error)]
#[error("cannot draw: {0}")]
pub struct PlotError(String);

/// All pictures under each other, as one SVG file.
///
/// # Errors
/// [`PlotError`] where the drawing library fails.
pub fn plot(recording: &Recording) -> Result<String, PlotError> {
    let parts: &[Part] = match recording.hang {
        Some(_) => &[tracking, hang, round_trips],
        None => &[tracking, round_trips],
    };
    let height = HEIGHT * u32::try_from(parts.len()).unwrap_or(1);
    draw((WIDTH, height), |area| {
        for (area, part) in area.split_evenly((parts.len(), 1)).iter().zip(parts) {
            part(area, recording)?;
        }
        Ok(())
    })
}

/// One picture each, for a page: what it shows, and the SVG element.
pub(crate) fn pictures(recording: &Recording) -> Result<Vec<(&'static str, String)>, PlotError> {
    let mut parts: Vec<(&str, Part)> = vec![("Tracking error", tracking)];
    if recording.hang.is_some() {
        parts.push(("While the model hangs", hang));
    }
    parts.push(("Round trips", round_trips));
    let picture = |(name, part): (_, Part)| Ok((name, draw((WIDTH, HEIGHT), |area| part(area, recording))?));
    parts.into_iter().map(picture).collect()
}

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Part = fn(&Area<'_>, &Recording) -> Result<(), PlotError>;
pub(crate) type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(crate) const WIDTH: u32 = 960;
pub(crate) const HEIGHT: u32 = 350;

const INK: RGBColor = RGBColor(31, 41, 55);
pub(crate) const QUIET: RGBColor = RGBColor(107, 114, 128);
const GRID: RGBColor = RGBColor(229, 231, 235);
pub(crate) const MODEL: RGBColor = RGBColor(37, 99, 235);
pub(crate) const FALLBACK: RGBColor = RGBColor(217, 119, 6);
const DEADLINE: RGBColor = RGBColor(220, 38, 38);
/// The light tint of a shade, for its legend.
const HANG: RGBColor = RGBColor(240, 190, 130);
const GOAL: RGBColor = RGBColor(22, 163, 74);
const REFUSED: RGBColor = RGBColor(126, 34, 206);

pub(crate) fn draw(
    size: (u32, u32),
    fill: impl FnOnce(&Area<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&RGBColor(255, 255, 255)).map_err(failed)?;
        fill(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The whole run, by the largest error of each 10 ms.
fn tracking(area: &Area<'_>, recording: &Recording) -> Result<(), PlotError> {
    let whole = 0..recording.now_ms().max(1000);
    errors(area, recording, whole, 10, "Tool to part, mm: the largest of each 10 ms; time in s")
}

/// The moments around the hang, with every observation's error.
fn hang(area: &Area<'_>, recording: &Recording) -> Result<(), PlotError> {
    let Some(hang) = recording.hang else { return Ok(()) };
    let until_ms = hang.until_ms.unwrap_or(recording.now_ms()).min(hang.from_ms + 2000);
    let shown = hang.from_ms.saturating_sub(150)..until_ms + 350;
    errors(area, recording, shown, 2, "The same around the hang, every 2 ms")
}

fn errors(
    area: &Area<'_>,
    recording: &Recording,
    shown_ms: Range<u32>,
    span_ms: u32,
    title: &str,
) -> Result<(), PlotError> {
    let peaks: Vec<_> = recording
        .tracking
        .peaks_mm(span_ms)
        .into_iter()
        .filter(|(from_ms, _)| shown_ms.contains(from_ms))
        .map(|(from_ms, peak_mm)| (seconds(from_ms), peak_mm))
        .collect();
    let top = peaks.iter().map(|(_, peak)| *peak).fold(GOAL_MM, f64::max) * 1.15;
    let standstills: Vec<_> = standstills(recording, &(seconds(shown_ms.start)..seconds(shown_ms.end)));
    let mut plane = builder(area, title, &legend(recording, !standstills.is_empty()))?
        .build_cartesian_2d(seconds(shown_ms.start)..seconds(shown_ms.end), 0.0..top)
        .map_err(failed)?;
    if let Some(hang) = recording.hang {
        let until = hang.until_ms.unwrap_or(shown_ms.end).min(shown_ms.end);
        shade(&mut plane, (seconds(hang.from_ms), seconds(until)), top, FALLBACK)?;
    }
    for standstill in standstills {
        shade(&mut plane, standstill, top, QUIET)?;
    }
    mesh(&mut plane)?;
    let goal = vec![(seconds(shown_ms.start), GOAL_MM), (seconds(shown_ms.end), GOAL_MM)];
    plane.draw_series([PathElement::new(goal, GOAL.stroke_width(1))]).map_err(failed)?;
    plane.draw_series(LineSeries::new(peaks, MODEL.stroke_width(2))).map_err(failed)?;
    marks(&mut plane, recording, &shown_ms, top)
}

/// What the colours of [`errors`] mean, as far as they occur.
fn legend(recording: &Recording, stood_still: bool) -> Vec<(&'static str, RGBColor)> {
    let any = |is: fn(&MarkKind) -> bool| recording.marks.iter().any(|mark| is(&mark.kind));
    let items = [
        (true, "tool to part", MODEL),
        (true, "goal for its RMS", GOAL),
        (recording.hang.is_some(), "the model hangs", HANG),
        (any(|kind| matches!(kind, MarkKind::Fallback(_))), "a fallback", FALLBACK),
        (any(|kind| matches!(kind, MarkKind::Refused(_))), "a refusal", REFUSED),
        (any(|kind| matches!(kind, MarkKind::Missed(_))), "a miss", DEADLINE),
        (stood_still, "this machine stood still", QUIET),
    ];
    items.into_iter().filter(|(occurs, ..)| *occurs).map(|(_, text, color)| (text, color)).collect()
}

/// A tick for each answer that was not the model's, on the time axis.
fn marks(plane: &mut Plane<'_, '_>, recording: &Recording, shown_ms: &Range<u32>, top: f64) -> Result<(), PlotError> {
    let marks = recording.marks.iter().filter(|mark| shown_ms.contains(&mark.now_ms)).map(|mark| {
        let color = match mark.kind {
            MarkKind::Fallback(_) => FALLBACK,
            MarkKind::Refused(_) => REFUSED,
            MarkKind::Missed(_) => DEADLINE,
        };
        let at = seconds(mark.now_ms);
        PathElement::new(vec![(at, 0.0), (at, top * 0.08)], color.stroke_width(2))
    });
    plane.draw_series(marks).map_err(failed)?;
    Ok(())
}

fn shade(plane: &mut Plane<'_, '_>, (from, until): (f64, f64), top: f64, color: RGBColor) -> Result<(), PlotError> {
    let shade = Rectangle::new([(from, 0.0), (until, top)], color.mix(SHADE).filled());
    plane.draw_series([shade]).map_err(failed)?;
    Ok(())
}

/// When this machine stood still in the span that is shown: spans in s that do not overlap.
fn standstills(recording: &Recording, shown: &Range<f64>) -> Vec<(f64, f64)> {
    let mut spans: Vec<_> = recording
        .standstills_s()
        .filter(|(from, until)| *until > shown.start && *from < shown.end)
        .map(|(from, until)| (from.max(shown.start), until.min(shown.end)))
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (from, until) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => merged.push((from, until)),
        }
    }
    merged
}

/// How many answers took how long, both on logarithmic axes.
fn round_trips(area: &Area<'_>, recording: &Recording) -> Result<(), PlotError> {
    let bars = recording.round_trips.bars();
    let deadline_ms = recording.deadline.as_secs_f64() * 1000.0;
    let fastest = bars.first().map_or(0.1, |bar| bar.from_us / 1000.0).min(0.1);
    let slowest = bars.last().map_or(1.0, |bar| bar.to_us / 1000.0).max(deadline_ms * 2.5);
    let top = bars.iter().map(|bar| height(bar.model + bar.fallback)).fold(1.0, f64::max) * 3.0;
    let written = ms(u64::try_from(recording.deadline.as_micros()).unwrap_or(u64::MAX));
    let legend = [
        ("the model's answers", MODEL),
        ("fallbacks, each to the newest that waited", FALLBACK),
        (&*format!("deadline {written}"), DEADLINE),
    ];
    let mut plane = builder(area, "Answers by round trip, ms; both axes logarithmic", &legend)?
        .build_cartesian_2d((fastest..slowest).log_scale().with_key_points(ROUND_MS.to_vec()), (FLOOR..top).log_scale())
        .map_err(failed)?;
    plane
        .configure_mesh()
        .light_line_style(GRID.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(QUIET)
        .label_style(style(13, QUIET))
        .x_labels(ROUND_MS.len())
        .y_labels(6)
        .x_label_formatter(&plain)
        .y_label_formatter(&plain)
        .draw()
        .map_err(failed)?;
    plane.draw_series(bars.iter().flat_map(rectangles)).map_err(failed)?;
    let line = vec![(deadline_ms, FLOOR), (deadline_ms, top)];
    plane.draw_series([PathElement::new(line, DEADLINE.stroke_width(2))]).map_err(failed)?;
    Ok(())
}

/// A bar's two rectangles, the taller one first, so that both can be seen.
fn rectangles(bar: &Bar) -> impl Iterator<Item = Rectangle<(f64, f64)>> {
    // a small gap between bars
    let (left, right) = (bar.from_us / 1000.0, bar.to_us / 1000.0 * 0.985);
    let mut parts = [(bar.model, MODEL), (bar.fallback, FALLBACK)];
    parts.sort_by_key(|(answers, _)| Reverse(*answers));
    parts
        .into_iter()
        .filter(|(answers, _)| *answers > 0)
        .map(move |(answers, color)| Rectangle::new([(left, FLOOR), (right, height(answers))], color.filled()))
}

/// What is written on the time axis.
const ROUND_MS: [f64; 12] = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// How dark a shade is.
const SHADE: f64 = 0.2;

/// Below one answer, so that a bar of one can be seen.
const FLOOR: f64 = 0.5;

/// A title, what the colours mean, and room for the chart below.
pub(crate) fn builder<'a, 'b>(
    area: &'a Area<'b>,
    title: &str,
    legend: &[(&str, RGBColor)],
) -> Result<ChartBuilder<'a, 'b, SVGBackend<'b>>, PlotError> {
    area.draw(&Text::new(title.to_owned(), (LEFT, 12), style(16, INK))).map_err(failed)?;
    let mut at = LEFT;
    for (text, color) in legend {
        area.draw(&Text::new(format!("■\u{a0}{text}"), (at, 38), style(13, *color))).map_err(failed)?;
        // nobody knows the font: a letter is about 7 wide
        at += i32::try_from(text.chars().count()).unwrap_or(0) * 7 + 40;
    }
    let mut builder = ChartBuilder::on(area);
    builder.margin(14).margin_top(64).margin_right(24).x_label_area_size(28).y_label_area_size(52);
    Ok(builder)
}

/// Where the axes begin: the margin and the labels' room.
const LEFT: i32 = 66;

pub(crate) fn mesh(plane: &mut Plane<'_, '_>) -> Result<(), PlotError> {
    plane
        .configure_mesh()
        .light_line_style(GRID.mix(0.0))
        .bold_line_style(GRID)
        .axis_style(QUIET)
        .label_style(style(13, QUIET))
        .x_labels(11)
        .y_labels(6)
        .draw()
        .map_err(failed)
}

fn style(size: u32, color: RGBColor) -> TextStyle<'static> {
    FontDesc::new(FontFamily::SansSerif, f64::from(size), FontStyle::Normal).color(&color)
}

/// 0.1, 1, 10, 1000: no exponents, no trailing zeros.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the drawing library's signature")]
fn plain(value: &f64) -> String {
    format!("{value}")
}

fn seconds(ms: u32) -> f64 {
    f64::from(ms) / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "a bar's height in pixels")]
fn height(answers: u64) -> f64 {
    answers as f64
}

pub(crate) fn failed(error: impl fmt::Display) -> PlotError {
    PlotError(error.to_string())
}
